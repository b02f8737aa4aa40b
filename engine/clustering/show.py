"""Clusters one by one: how large, what is typical, of which classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.clustering.cluster_runs import NOISE, ClusterRun, members
from engine.clustering.score import known_classes
from engine.members import first_names
from engine.store import Store


@dataclass(frozen=True)
class Shown:
    """A cluster: `medoid` is the name of its most typical image, None if all are gone.

    `label` is the commonest class of its images, and `purity` their share among those whose class is known; both are
    None where none is. `score` is the mean cosine with the mean of the cluster, None for noise.
    """

    cluster: str
    images: int
    share: float
    medoid: str | None
    score: float | None
    label: str | None
    purity: float | None


def show(store: Store, found: ClusterRun) -> tuple[str | None, list[Shown]]:
    """Return where the classes come from (truth, labels or None), and each cluster of a run, noise last."""
    against, names, classes = known_classes(store, found.ids)
    groups = {str(code): members(found, code) for code in range(found.k)}
    if found.noise:
        groups[NOISE] = members(found, NOISE)
    typical = [found.ids[rows[0]].tobytes() for rows in groups.values() if len(rows)]
    called = first_names(store, typical)
    shown = []
    for cluster, rows in groups.items():
        counts = np.bincount(classes[rows][classes[rows] >= 0], minlength=1)
        top, some = int(counts.argmax()), int(counts.sum())
        best = called.get(found.ids[rows[0]].tobytes()) if len(rows) else None
        mean = float(found.scores[rows].mean()) if len(rows) and cluster != NOISE else None
        shown.append(
            Shown(
                cluster,
                len(rows),
                len(rows) / max(1, len(found.ids)),
                None if cluster == NOISE else best,
                mean,
                names[top] if some else None,
                float(counts[top] / some) if some else None,
            )
        )
    return against, shown
