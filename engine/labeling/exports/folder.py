"""A folder a class with the original files: `ImageClassificationDirectoryTree` of FiftyOne, `imagefolder` of Hugging
Face datasets, `ImageFolder` of torchvision."""

from __future__ import annotations

from pathlib import Path

from engine.errors import BadInput
from engine.labeling.exports.labelled import Labelled
from engine.labeling.exports.pictures import free_path, harmless, pictures


def write(labelled: Labelled, path: Path) -> int:
    """Write the images that have a label; return how many. Raises `BadInput` for a class that can be no folder."""
    for name in labelled.classes:
        if harmless(name) != name or len(name.encode()) > 255:
            raise BadInput(f"the class {name!r} cannot be the name of a folder", "use --format webdataset, coco or csv")
    rows = 0
    for row, data in pictures(labelled.store, labelled.only_labelled()):
        # Not before: readers take an empty folder for a fault.
        (path / row["label"]).mkdir(exist_ok=True)
        free_path(path / row["label"], row).write_bytes(data)
        rows += 1
    return rows
