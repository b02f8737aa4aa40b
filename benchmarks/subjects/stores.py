"""The stores of the data sets: made once for an output folder, kept, gone on with after an interruption."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from benchmarks.datasets import Found
from benchmarks.datasets.label_files import TRUTH
from engine import encoders
from engine.ingestion.intake import intake
from engine.ingestion.request import Request
from engine.progress import Progress
from engine.sources import open_source
from engine.store import Store

NETWORK = "efficientnet_lite0"
# The fastest precision is measured anew on each machine, and would be another one now and then.
PRECISION = "fp32"


def store_of(found: Found, folder: Path, progress: Progress) -> Store:
    """Return the store of a data set under `folder`, without vectors if it is new; the user's own as it is.

    Its name has the digests of sources and labels and the network's fingerprint: what changes is another store.
    """
    if found.store is not None:
        return Store.open(found.store)
    path = folder / f"{found.collection}-{_identity(found)}"
    if not (path / "done").exists():
        path.mkdir(parents=True, exist_ok=True)
        for request in _requests(found):
            intake(path / "store", request, progress=progress)
        (path / "done").touch()
    return Store.open(path / "store")


def embed(found: Found, store: Store, encoder: str, progress: Progress) -> None:
    """Fill the space of an encoder; what has a vector is not encoded again."""
    sources = [str(one) for one in found.sources]
    intake(store.path, Request(sources, encoders=[encoder], precision=PRECISION, autoencoder=False), progress=progress)


def _requests(found: Found) -> list[Request]:
    sources = [str(one) for one in found.sources]
    if not found.labels:
        folders: dict[str, Any] = {"labels_from_folders": True, "split_from_folders": True, "labels_role": TRUTH}
        return [Request(sources, encoders=["none"], autoencoder=False, **folders)]
    # The first one brings the pictures too.
    return [
        Request(sources, encoders=["none"], autoencoder=False, labels=path, labels_role=role)
        for role, path in found.labels.items()
    ]


def _identity(found: Found) -> str:
    parts = [open_source(one).digest() for one in found.sources]
    parts += [role.encode() + path.read_bytes() for role, path in sorted(found.labels.items())]
    parts.append(encoders.load(NETWORK).fingerprint.encode())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]
