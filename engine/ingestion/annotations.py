"""Labels and splits that come with the data: a CSV, IDX labels, folders, WebDataset sidecars.

They are read before anything is written, so that a bad file stops the run at its start, and joined to the ledger after
the members are in it, so that labels can also be brought for images that are stored already.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from engine.errors import BadInput
from engine.ingestion.class_names import checked_name, class_name
from engine.sources.idx import read_idx_labels
from engine.store import Store
from engine.store.table import in_list

ROLES = ("given", "truth")
IMAGE_COLUMNS = ("image", "name", "file", "filename", "path")
SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class Annotations:
    """Where a member's label and split come from.

    `by_name` maps names to (label, split); a name without folders stands for the one file of that name. `by_ordinal`
    lists labels. `ambiguous` are the names that several images share: nothing is guessed.
    """

    by_name: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)
    by_ordinal: Sequence[str] = ()
    label_from_folders: bool = False
    split_from_folders: bool = False
    role: str = "given"
    ambiguous: frozenset[str] = frozenset()

    def label(self, name: str, ordinal: int, sidecar: str | None) -> str | None:
        """Return the label of a member: the file's, else the sidecar's, else its folder's."""
        found = self._row(name)[0]
        if found is None and 0 <= ordinal < len(self.by_ordinal):
            found = self.by_ordinal[ordinal]
        if found is None and sidecar:
            found = sidecar_label(json.loads(sidecar))
        if found is None and self.label_from_folders:
            found = folder_label(name)
        return found

    def split(self, name: str) -> str | None:
        """Return the split of a member: the file's, else its folder's."""
        found = self._row(name)[1]
        return folder_split(name) if found is None and self.split_from_folders else found

    def _row(self, name: str) -> tuple[str | None, str | None]:
        if name in self.by_name:
            return self.by_name[name]
        base = PurePosixPath(name).name
        return (None, None) if base in self.ambiguous else self.by_name.get(base, (None, None))


def folder_label(name: str) -> str | None:
    """Return the innermost folder that is not a split: `train/cat/1.jpg` → cat."""
    folders = [part for part in PurePosixPath(name).parts[:-1] if part.lower() not in SPLITS]
    return folders[-1] if folders else None


def folder_split(name: str) -> str | None:
    """Return the split that a folder of the path names: `train/cat/1.jpg` → train."""
    return next((SPLITS[part.lower()] for part in PurePosixPath(name).parts[:-1] if part.lower() in SPLITS), None)


def sidecar_label(sidecar: dict[str, str]) -> str | None:
    """Return the class in a WebDataset sidecar: the text of `.cls`, else `label` or `cls` in `.json`.

    Where `.cls` is a number, as loaders want it, and `label` is its name, it is the name.
    """
    text, values = sidecar.get("cls", "").strip(), _json_labels(sidecar.get("json", "null"))
    named = bool(values) and isinstance(values[0], str) and text.isdecimal()
    if text and not named:
        return text
    return str(values[0]) if values else None


def _json_labels(text: str) -> list[str | int]:
    try:
        content = json.loads(text)
    except ValueError:
        return []
    values = [content.get(key) for key in ("label", "cls")] if isinstance(content, dict) else []
    # Class 0 is a class.
    return [value for value in values if isinstance(value, str | int) and value != ""]


def read_labels(path: Path) -> tuple[dict[str, tuple[str | None, str | None]], list[str]]:
    """Return (rows by image name, labels by ordinal) of a labels file; one of the two is empty.

    A CSV has the columns image, label and perhaps split; an IDX file has a label for each member in order.
    Raises `BadInput` if the file is missing, has no such columns, names an image twice with different labels, or
    says what cannot name a class.
    """
    if not path.is_file():
        raise BadInput(f"there is no labels file {path}", "name a CSV file with the columns image,label[,split]")
    with path.open("rb") as start:
        binary = start.read(2) in (b"\0\0", b"\x1f\x8b")
    if binary:
        return {}, [str(label) for label in read_idx_labels(path).tolist()]
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return dict(_csv_rows(path, csv.DictReader(file, strict=True))), []
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path} is not a CSV file in UTF-8: {error}", "save it as UTF-8") from None


def _csv_rows(path: Path, reader: csv.DictReader) -> Iterator[tuple[str, tuple[str | None, str | None]]]:
    columns = reader.fieldnames or []
    image = next((name for name in IMAGE_COLUMNS if name in columns), None)
    if image is None or not {"label", "split"} & set(columns):
        raise BadInput(
            f"{path} has the columns {', '.join(columns) or 'none'}",
            "its first line must be image,label or image,label,split",
        )
    seen: dict[str, tuple[str | None, str | None]] = {}
    for row in reader:
        if not row[image]:
            raise BadInput(f"{path} line {reader.line_num} names no image", f"fill in the column {image}")
        value = (_class(row.get("label"), path, reader.line_num), row.get("split") or None)
        if seen.setdefault(row[image], value) != value:
            raise BadInput(
                f"{path} line {reader.line_num} says {_said(value)} of {row[image]}, an earlier line "
                f"{_said(seen[row[image]])}",
                "keep one of the two lines",
            )
        yield row[image], value


def _class(text: str | None, path: Path, line: int) -> str | None:
    if text is None or not text.strip():
        return None
    return checked_name(text, what=f"the class on line {line} of {path}", remedy="fill in the column label")


def _said(value: tuple[str | None, str | None]) -> str:
    return ", ".join(part for part in value if part) or "nothing"


@dataclass(frozen=True)
class Annotated:
    """How many labels are new, and which names of the file are in no source or fit several images of them.

    `unnamed` are the members whose sidecar or folder says what cannot be the name of a class.
    """

    labels: int
    unknown: Sequence[str] = ()
    ambiguous: Sequence[str] = ()
    unnamed: Sequence[str] = ()


def annotate(store: Store, digests: Sequence[bytes], annotations: Annotations, run: str) -> Annotated:
    """Write the labels of the stored members of `digests`, and the splits that are not set yet."""
    written, unnamed = 0, []
    where = f"removed IS NULL AND {in_list('source', list(digests))}"
    met = _owners(store, where, annotations)
    annotations = replace(annotations, ambiguous=frozenset(name for name, images in met.items() if len(images) > 1))
    for batch in store.members.scan(store.members.schema.names, where):
        rows = batch.to_pylist()
        said = [
            (row, class_name(label))
            for row in rows
            if row["image"] and (label := annotations.label(row["name"], row["ordinal"], row["sidecar"])) is not None
        ]
        labels = [
            label_row(row["image"], label, source=annotations.role, run=run) for row, label in said if label is not None
        ]
        unnamed += [row["name"] for row, label in said if label is None]
        unique = {row["key"]: row for row in labels}
        written += store.labels.merge(pa.Table.from_pylist(list(unique.values()), store.labels.schema))
        splits = [
            {**row, "split": split}
            for row in rows
            if row["split"] is None and (split := annotations.split(row["name"])) is not None
        ]
        store.members.merge(pa.Table.from_pylist(splits, store.members.schema), update="target.split IS NULL")
    unknown = [name for name in annotations.by_name if name not in met]
    return Annotated(written, unknown, sorted(annotations.ambiguous), unnamed)


def _owners(store: Store, where: str, annotations: Annotations) -> dict[str, set[bytes | None]]:
    """Return for each name of the labels file the images of the members that it fits."""
    owners: dict[str, set[bytes | None]] = {}
    if annotations.by_name:
        for batch in store.members.scan(["name", "image"], where):
            for name, image in zip(batch["name"].to_pylist(), batch["image"].to_pylist(), strict=True):
                for fitting in {name, PurePosixPath(name).name} & annotations.by_name.keys():
                    owners.setdefault(fitting, set()).add(image)
    return owners


def label_row(
    image: bytes, label: str, *, source: str, run: str, polarity: bool = True, score: float | None = None
) -> dict[str, Any]:
    """Return one row of the labels table. The same statement from the same source has the same key."""
    return {
        "key": statement_key(image, label, polarity=polarity, source=source),
        "id": image,
        "label": label,
        "polarity": polarity,
        "score": score,
        "kind": "class",
        "source": source,
        "run": run,
    }


def statement_key(
    image: bytes,
    label: str | None,
    *,
    source: str,
    polarity: bool | None = True,
    kind: str = "class",
    run: str | None = None,
) -> bytes:
    """Return the key of a statement; with a `run` the same statement in another run is another row."""
    parts = [image.hex(), label, polarity, kind, source, *([run] if run else [])]
    return hashlib.sha256(json.dumps(parts).encode()).digest()
