"""Export labels, with or without the images, in the formats that other tools read."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from engine.errors import BadInput
from engine.ingestion.annotations import IMAGE_COLUMNS
from engine.labeling.exports import FORMATS
from engine.labeling.exports.labelled import Labelled, rows_of, taken
from engine.labeling.labels import label_run, run_labels
from engine.scratch import whole
from engine.select import all_labels
from engine.store import Store
from engine.store.durable import require_space
from engine.store.many_names import resolve_all

# Formats that consist of pictures, those that can have them beside the labels, and those that list what they are asked.
PICTURES, EITHER, LISTS = ("folder", "webdataset"), ("parquet", "coco"), ("csv", "parquet", "onehot")
INDEX_COLUMNS = (*IMAGE_COLUMNS, "index", "indices", "id", "")


@dataclass(frozen=True)
class LabelsExported:
    """What was written: `rows` images, of which `labelled` have a label; `without` were left out because they have
    none."""

    run: str | None
    rows: int
    labelled: int
    without: int
    classes: list[str]
    path: Path


def export_labels(
    store: Store,
    output: Path,
    *,
    run: str | None = None,
    form: str = "csv",
    images: bool = False,
    indices: Path | None = None,
    classes: Sequence[str] | None = None,
) -> LabelsExported:
    """Write the labels of a run, or without one those that count, under `output`, a file or a new folder.

    `form` is a key of `FORMATS`; `images` adds the pictures where they are not in it anyway; `indices` is a CSV file
    with the images to list, in its order; `classes` are the classes to write, in this order. Nothing half-written is
    left. Raises `BadInput`, `SourceError` if pictures are wanted and a source is gone.
    """
    _check(output, form, images, indices)
    chosen = all_labels(store) if run is None else run_labels(store, run)
    if "score" not in chosen.column_names:
        chosen = chosen.append_column("score", pa.nulls(len(chosen), pa.float64()))
    names = _classes(store, chosen, run, classes)
    labelled = Labelled(store, rows_of(store, chosen, names), names, run, images or form in PICTURES)
    if indices is not None:
        named = read_indices(indices)
        rows = taken(labelled.rows, resolve_all(store, named, place=str(indices)))
        labelled = replace(labelled, rows=rows, named=named)
    require_space(output.absolute().parent)
    module, _, function = FORMATS[form].partition(":")
    with whole(output, folder=_is_folder(form, images)) as scratch:
        written = getattr(import_module(module), function)(labelled, scratch)
    return LabelsExported(run, written, labelled.labelled, len(labelled.rows) - written, names, output)


def _check(output: Path, form: str, images: bool, indices: Path | None) -> None:
    if form not in FORMATS:
        raise BadInput(f"unknown format {form!r}", f"use one of {', '.join(FORMATS)}")
    if images and form not in PICTURES + EITHER:
        raise BadInput(f"--format {form} holds no pictures", f"use one of {', '.join(PICTURES + EITHER)}")
    if indices is not None and (form not in LISTS or images):
        raise BadInput(f"--indices lists images; --format {form} would hold them", f"use one of {', '.join(LISTS)}")
    if not output.absolute().parent.is_dir():
        raise BadInput(f"there is no folder {output.absolute().parent}", "make it first")
    folder = _is_folder(form, images)
    if folder and output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise BadInput(f"{output} is there already", "name a new folder with --output")
    if not folder and output.is_dir():
        raise BadInput(f"{output} is a folder", f"name a file: --output {output / 'labels'}")


def _is_folder(form: str, images: bool) -> bool:
    return form in PICTURES or (form == "coco" and images)


def _classes(store: Store, chosen: pa.Table, run: str | None, wanted: Sequence[str] | None) -> list[str]:
    """Return the classes to write: those asked for, else the run's own, in the order in which they were given there."""
    made = [] if run is None else label_run(store, run)["classes"]
    known = list(dict.fromkeys([*made, *sorted(pc.unique(chosen["label"]).to_pylist())]))
    for name in wanted or ():
        if name not in known:
            raise BadInput(f"there is no class {name!r}", f"the classes are {', '.join(known) or 'none'}")
    if wanted and len(set(wanted)) < len(wanted):
        raise BadInput(f"--classes {','.join(wanted)} names a class twice", "name each once")
    return list(wanted) if wanted else known


def read_indices(path: Path) -> pa.Array:
    """Return the images that a CSV file names, in its order: its column image or index, or its only column.

    An only column needs no heading. Raises `BadInput` if there is no such column.
    """
    if not path.is_file():
        raise BadInput(f"there is no file {path}", "give --indices FILE.csv with a column image or index")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file, strict=True) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path} is not a CSV file in UTF-8: {error}", "save it as UTF-8") from None
    heading = [name.strip().lower() for name in rows[0]] if rows else []
    place = next((heading.index(name) for name in INDEX_COLUMNS if name in heading), None)
    if place is None and max(map(len, rows), default=0) > 1:
        raise BadInput(f"{path} has the columns {', '.join(rows[0])}", "name the one with the images: image or index")
    names = [row[place or 0].strip() for row in rows[place is not None :] if len(row) > (place or 0)]
    if not names:
        raise BadInput(f"{path} names no image", "write one on each line")
    return pa.array(names, pa.string())
