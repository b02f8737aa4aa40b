"""Name a cluster: a person says what its images are, as if they had labelled each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.clustering.cluster_runs import cluster_run, members
from engine.compact import compact_if_piled_up
from engine.errors import BadInput
from engine.ingestion.class_names import checked_name
from engine.labeling.labels import append, statements
from engine.labeling.precedence import PEOPLE
from engine.labeling.spelling import check_spelling
from engine.store import Store
from engine.store.vectors import id_array, sort_key

COMMAND = "cluster name"


@dataclass(frozen=True)
class Named:
    """`labelled` images got the label in `run`; `kept` have what a person said of each, which stays as it is."""

    run: str
    clusters: str
    cluster: str
    label: str
    labelled: int
    kept: int


def name_cluster(store: Store, cluster: str | int, label: str, *, run: str | None = None) -> Named:
    """Label the images of a cluster of `run` (default: the newest) as a person does, in one run that can be reverted.

    Images of which a person spoke before, one by one or as an exemplar, are left alone. Raises `BadInput` for a run or
    cluster that is not there, a class that is known in another spelling, and where nothing is left to label.
    """
    label = checked_name(label, what="the class", remedy="write it: engine cluster name CLUSTER CLASS")
    check_spelling(store, [label])
    found = cluster_run(store, run)
    members(found, cluster)
    with store.lock():
        # Under the lock: no removal goes between.
        found = cluster_run(store, found.run)
        ids = found.ids[members(found, cluster)]
        said = sort_key(id_array(statements(store, PEOPLE)["id"]))
        free = ~np.isin(sort_key(ids), said)
        if not free.any():
            raise BadInput(
                f"cluster {cluster} of run {found.run} has no image that is not labelled by a person already",
                "take labels back first: engine labels unset IMAGE, or labels revert RUN",
            )
        asked = {"clusters": found.run, "cluster": str(cluster), "label": label}
        with store.run(COMMAND, asked) as made:
            append(store, made.name, ids=ids[free], labels=[label] * int(free.sum()), source="human")
            made.result.update(labelled=int(free.sum()), kept=int((~free).sum()))
    compact_if_piled_up(store)
    return Named(made.name, found.run, str(cluster), label, int(free.sum()), int((~free).sum()))
