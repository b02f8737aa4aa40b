"""How good clusters are, by the truth or by the labels that count, and by the vectors alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.labeling.agreed import agreed
from engine.labeling.labels import truth
from engine.select import all_labels
from engine.store import Store
from engine.store.vectors import id_array, sort_key
from labelers.cluster_metrics import SAMPLE, alone, cluster_metrics
from labelers.silhouette import silhouette

NAMES = ("nmi", "ari", "ri", "ami", "homogeneity", "completeness", "purity", "accuracy")
FIGURES = (*NAMES, "silhouette")


def score(
    store: Store, ids: NDArray[np.uint8], codes: NDArray[np.int32], X: NDArray[np.float32], *, seed: int
) -> dict[str, Any]:
    """Return `metrics`, their `chance`, and `against`: truth, labels or None; `compared` images have one.

    Figures against what is not known are None. The silhouette is that of all images, of 20,000 of more.
    """
    width = silhouette(X, alone(codes), rng=np.random.default_rng(seed), sample=SAMPLE)
    metrics: dict[str, float | None] = {**dict.fromkeys(NAMES), "silhouette": None if width != width else width}
    against, _, classes = known_classes(store, ids)
    rows = classes >= 0
    if not rows.any():
        return {"metrics": metrics, "chance": None, "against": None, "compared": 0}
    found = cluster_metrics(classes[rows], codes[rows], seed=seed)
    metrics.update({name: getattr(found, name) for name in NAMES})
    return {
        "metrics": metrics,
        "chance": dict(found.chance),
        "against": against,
        "compared": int(np.count_nonzero(rows)),
    }


def known_classes(store: Store, ids: NDArray[np.uint8]) -> tuple[str | None, list[str], NDArray[np.int32]]:
    """Return where the classes of images come from, their names, and a code for each of `ids` (n, 32), −1 for none.

    The truth comes before the labels that count: it is there to be compared with.
    """
    for against, rows in (("truth", agreed(truth(store))[0]), ("labels", all_labels(store))):
        if len(rows):
            names = sorted(rows["label"].unique().to_pylist())
            said = _codes(rows["label"], names)
            return against, names, _placed(ids, id_array(rows["id"]), said)
    return None, [], np.full(len(ids), -1, np.int32)


def _codes(column: pa.ChunkedArray, names: list[str]) -> NDArray[np.int32]:
    import pyarrow.compute as pc

    places = pc.index_in(column, value_set=pa.array(names, pa.string()))
    return places.to_numpy(zero_copy_only=False).astype(np.int32)


def _placed(ids: NDArray[np.uint8], theirs: NDArray[np.uint8], said: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return what is `said` of `theirs` for each of `ids`, −1 for others."""
    keys = sort_key(theirs)
    order = np.argsort(keys, kind="stable")
    wanted = sort_key(ids)
    places = np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)
    return np.where(keys[order][places] == wanted, said[order][places], -1).astype(np.int32)
