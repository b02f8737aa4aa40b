"""Runs of clusters: which there are, and what one wrote."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadInput
from engine.store import Store
from engine.store.table import literal
from engine.store.vectors import id_array, sort_key

NOISE = "noise"


@dataclass(frozen=True)
class ClusterRun:
    """A run of clusters: `ids` uint8 (n, 32) in their order, `codes` int32 (n,), −1 for noise, and `scores`.

    Images that were removed since are not among them. `details` is what was asked, `result` what came of it. A score
    is the cosine of an image with the mean of its cluster, nan for noise.
    """

    run: str
    details: dict[str, Any]
    result: dict[str, Any]
    ids: NDArray[np.uint8]
    codes: NDArray[np.int32]
    scores: NDArray[np.float64]

    @property
    def k(self) -> int:
        found: int = self.result["k"]
        return found

    @property
    def metrics(self) -> dict[str, float | None]:
        """Return the figures by name: `silhouette`, and those against the known classes, None where there are none."""
        found: dict[str, float | None] = self.result["metrics"]
        return found

    @property
    def sizes(self) -> NDArray[np.int64]:
        return np.bincount(self.codes[self.codes >= 0], minlength=self.k)

    @property
    def noise(self) -> int:
        return int(np.count_nonzero(self.codes < 0))


def cluster_runs(store: Store) -> list[dict[str, Any]]:
    """Return every run of clusters that came to its end, oldest first: run, details, result."""
    rows = sorted(store.runs.rows(where="command = 'cluster'"), key=lambda row: row["time"])
    ends = {row["run"]: json.loads(row["details"]) for row in rows if row["event"] == "end"}
    return [
        {"run": row["run"], "details": json.loads(row["details"]), "result": ends[row["run"]]}
        for row in rows
        if row["event"] == "start" and "error" not in ends.get(row["run"], {"error": "killed"})
    ]


def cluster_run(store: Store, run: str | None = None) -> ClusterRun:
    """Return a run of clusters, by default the newest; raise `BadInput` if it is none."""
    known = {one["run"]: one for one in cluster_runs(store)}
    if not known:
        raise BadInput("there is no run of clusters", "make one: engine cluster --method leiden")
    name = list(known)[-1] if run is None else run
    if name not in known:
        raise BadInput(f"{run!r} is no run of clusters; there is {', '.join(known)}", "list all: engine runs")
    rows = store.labels.read(["id", "label", "score"], f"kind = 'cluster' AND run = {literal(name)}")
    ids = id_array(rows["id"])
    order = np.argsort(sort_key(ids), kind="stable")
    labels = rows["label"].to_numpy()
    codes = np.where(labels == NOISE, "-1", labels).astype(np.int32)
    scores = rows["score"].to_numpy().astype(np.float64)
    return ClusterRun(name, known[name]["details"], known[name]["result"], ids[order], codes[order], scores[order])


def members(found: ClusterRun, cluster: str | int) -> NDArray[np.int64]:
    """Return the rows of a cluster, or of noise, the most typical first; raise `BadInput` if there is no such one."""
    text = str(cluster)
    code = -1 if text == NOISE else int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
    if code is None or code >= found.k:
        last = f"0 to {found.k - 1}" if found.k else "none"
        raise BadInput(f"run {found.run} has no cluster {text!r}; there is {last} and noise", "engine cluster show")
    rows = np.flatnonzero(found.codes == code)
    order = np.argsort(-np.nan_to_num(found.scores[rows]), kind="stable")
    return rows[order]
