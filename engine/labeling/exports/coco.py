"""COCO: images, categories and for each label an annotation whose box is the whole image.

Readers of COCO, FiftyOne's among them, leave out annotations without a box.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from engine.labeling.exports.labelled import Labelled
from engine.labeling.exports.pictures import free_path, pictures


def write(labelled: Labelled, path: Path) -> int:
    """Write a JSON file of all images, or with pictures a folder `data` and `labels.json` of those with a label.

    That is the layout of FiftyOne's `COCODetectionDataset`. Returns how many images are listed.
    """
    if not labelled.images:
        entries = ((row, row["name"]) for block in labelled.blocks() for row in block)
        return _document(labelled, path, entries)
    (path / "data").mkdir()
    return _document(labelled, path / "labels.json", _copied(labelled, path / "data"))


def _copied(labelled: Labelled, folder: Path) -> Iterator[tuple[dict[str, Any], str]]:
    for row, data in pictures(labelled.store, labelled.only_labelled()):
        path = free_path(folder, row)
        path.write_bytes(data)
        yield row, path.name


def _document(labelled: Labelled, path: Path, entries: Iterator[tuple[dict[str, Any], str]]) -> int:
    """Write the JSON document as the images come, so that it need not lie in memory."""
    number = {name: place for place, name in enumerate(labelled.classes, 1)}
    categories = [{"id": place, "name": name, "supercategory": None} for name, place in number.items()]
    rows = annotated = 0
    with path.open("w", encoding="utf-8") as file, tempfile.TemporaryFile("w+", encoding="utf-8") as later:
        file.write(f'{{"info": {json.dumps({"description": f"labels of run {labelled.run}"})}, "licenses": [],\n')
        file.write(f'"categories": {json.dumps(categories, ensure_ascii=False)},\n"images": [')
        for rows, (row, name) in enumerate(entries, 1):
            image = {"id": rows, "file_name": name, "width": row["width"], "height": row["height"]}
            _append(file, image, rows)
            if row["label"] is not None:
                annotated += 1
                _append(later, _annotation(row, annotated, rows, number[row["label"]]), annotated)
        file.write('],\n"annotations": [')
        later.seek(0)
        shutil.copyfileobj(later, file)
        file.write("]}\n")
    return rows


def _append(file: IO[str], entry: dict[str, Any], place: int) -> None:
    file.write(("\n" if place == 1 else ",\n") + json.dumps(entry, ensure_ascii=False))


def _annotation(row: dict[str, Any], place: int, image: int, category: int) -> dict[str, Any]:
    box = [0, 0, row["width"], row["height"]]
    said = {"id": place, "image_id": image, "category_id": category, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
    return said if row["score"] is None else {**said, "score": row["score"]}
