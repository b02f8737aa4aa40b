"""Label runs as `engine label` writes them, for tests of what comes after."""

from __future__ import annotations

from importlib import import_module

import numpy as np

from engine.labeling import labels
from engine.store import Store
from engine.store.names import resolve
from labelers import LABELERS, Exemplars


def label_run(store: Store, exemplars: dict[str, list[str]], threshold: float, *, labeler="nearest", **options) -> str:
    """Label a space by exemplars, given by name for each class; return the run."""
    space = store.space(options.pop("space", None))
    vectors = store.vectors(space)
    ids = {name: [resolve(store, image) for image in images] for name, images in exemplars.items()}
    flat = np.frombuffer(b"".join(one for some in ids.values() for one in some), np.uint8).reshape(-1, 32)
    codes = np.repeat(np.arange(len(ids)), [len(some) for some in ids.values()]).astype(np.int32)
    known = Exemplars(tuple(ids), vectors.matrix[vectors.positions(flat)], codes, np.ones(len(codes), bool))
    module, _, name = LABELERS[labeler].partition(":")
    found = getattr(import_module(module), name)(vectors.matrix, known, threshold=threshold, **options)
    details = {
        "labeler": labeler,
        "space": space.name,
        "fingerprint": space.fingerprint,
        "threshold": threshold,
        "fpr": None,
        "margin": options.get("margin", 0.0),
        "k": options.get("k"),
        "exemplars": {name: [one.hex() for one in some] for name, some in ids.items()},
        "not": {},
        "classes": list(ids),
    }
    hit = found.codes >= 0
    with store.run("label", details) as run:
        names = [known.classes[code] for code in found.codes[hit]]
        labels.append(store, run.name, ids=vectors.ids[hit], labels=names, scores=found.scores[hit], source="run")
        run.result.update(labelled=int(hit.sum()), classes={name: names.count(name) for name in ids})
    return run.name
