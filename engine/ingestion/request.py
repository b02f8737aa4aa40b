"""What `engine ingest` was asked for, read and checked before the first byte is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine import encoders
from engine.encoders.base import Encoder
from engine.errors import BadInput, EncoderUnavailable
from engine.ingestion.annotations import ROLES, Annotations, folder_label, read_labels
from engine.ingestion.class_names import checked_name
from engine.ingestion.plan import listed
from engine.ingestion.user_vectors import UserVectors, read_vectors
from engine.sources import Source, expand, open_source
from engine.store import Store


@dataclass(frozen=True)
class Request:
    """What `engine ingest` was asked for."""

    sources: Sequence[str]
    encoders: Sequence[str] | None = None
    weights: Path | None = None
    space: str | None = None
    precision: str = "auto"
    device: str = "auto"
    batch_size: int | None = None
    workers: int | None = None
    labels: Path | None = None
    labels_role: str = "given"
    labels_from_folders: bool = False
    split_from_folders: bool = False
    vectors: Sequence[str] = ()
    vectors_order: str = "member"
    max_pixels: int | None = None
    retry_rejected: bool = False
    restore: bool = False
    autoencoder: bool = True

    @property
    def describes(self) -> bool:
        """Say whether it brings something for images that may be stored already."""
        return bool(self.labels or self.labels_from_folders or self.split_from_folders or self.vectors)

    @property
    def parameters(self) -> dict[str, Any]:
        """Return what the run records of it."""
        return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Asked:
    """What a request names, read and checked; nothing was written for it."""

    sources: list[Source]
    annotations: Annotations
    vectors: list[UserVectors]
    encoders: list[Encoder]


def read(path: Path, request: Request) -> Asked:
    """Return what the request names, for the store at `path`; raise `BadInput` and its kin."""
    _check(request)
    sources = [open_source(one) for one in expand(request.sources)]
    vectors = [read_vectors(one, sources, order=request.vectors_order) for one in request.vectors]
    found = _encoders(path, request)
    check_spaces(Store(path.absolute()), found, vectors)
    return Asked(sources, _annotations(request, sources), vectors, found)


def check_spaces(store: Store, chosen: Sequence[Encoder], vectors: Sequence[UserVectors]) -> None:
    """Raise if brought vectors would meet those of an encoder, or others, in one space."""
    known, filled = store.spaces(), {one.space for one in chosen}
    for brought in vectors:
        if brought.name in filled:
            raise BadInput(
                f"--vectors {brought.name}=… has the name of a space that an encoder fills", "choose another"
            )
        if brought.name in known:
            store.declare(brought.space, "")


def _check(request: Request) -> None:
    if request.labels_role not in ROLES:
        raise BadInput(f"--labels-role {request.labels_role!r}", f"use one of {', '.join(ROLES)}")
    named = [one for one in request.encoders or [] if one != "none"]
    if "none" in (request.encoders or []) and named:
        raise BadInput("--encoder none beside other encoders", "leave one of the two out")
    for option, value in (("--weights", request.weights), ("--space", request.space)):
        if value is not None and len(named) != 1:
            raise BadInput(f"{option} {value} goes with exactly one --encoder, not {len(named)}", "name that encoder")
    for option, number in (
        ("--max-pixels", request.max_pixels),
        ("--workers", request.workers),
        ("--batch-size", request.batch_size),
    ):
        if number is not None and number < 1:
            raise BadInput(f"{option} {number}", "give a positive number")
    if len({one.partition("=")[0] for one in request.vectors}) < len(request.vectors):
        raise BadInput("two --vectors have the same name", "give each space its own")


def _annotations(request: Request, sources: Sequence[Source]) -> Annotations:
    by_name, by_ordinal = read_labels(request.labels) if request.labels else ({}, [])
    if by_ordinal:
        members = [sum(ordinal >= 0 for ordinal, _ in source.names()) for source in sources]
        if members != [len(by_ordinal)]:
            raise BadInput(
                f"{request.labels} has {len(by_ordinal)} labels, the sources have "
                f"{', '.join(map(str, members))} members",
                "give the one source that the labels belong to",
            )
    if request.labels_from_folders:
        for source in sources:
            _check_folders(source)
    return Annotations(
        by_name, by_ordinal, request.labels_from_folders, request.split_from_folders, request.labels_role
    )


def _check_folders(source: Source) -> None:
    """Raise `BadInput` for a folder that cannot name a class; what only decompressing would tell is told later."""
    for folder in sorted({folder_label(name) or "" for name in listed(source)} - {""}):
        checked_name(folder, what=f"a folder of {source.path}", remedy="rename it")


def options(path: Path, request: Request) -> dict[str, Any]:
    """Return the options of every encoder of the request."""
    return {
        "cache": path.absolute() / "cache",
        "precision": request.precision,
        "device": request.device,
        "batch_size": request.batch_size,
    }


def _encoders(path: Path, request: Request) -> list[Encoder]:
    """Return the encoders that were asked for; raise `EncoderUnavailable` if one cannot run here."""
    found: list[Encoder] = []
    for spec in dict.fromkeys(request.encoders or ()):
        if spec == "none":
            continue
        one = encoders.load(spec, space=request.space, weights=request.weights, **options(path, request))
        state = one.availability()
        if not state.ok:
            raise EncoderUnavailable(f"{spec}: {state.reason}", state.remedy)
        found.append(one)
    if len({one.space for one in found}) < len(found):
        raise BadInput("two encoders fill the same space", "ingest with one, then: engine embed --space NAME")
    return found
