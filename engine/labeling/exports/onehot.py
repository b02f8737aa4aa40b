"""One-hot vectors: a CSV file image,label whose labels read `[1.0, 0.0, 0.0]`, all zero where there is no label."""

from __future__ import annotations

import csv
from pathlib import Path

from engine.labeling.exports.csv_file import tables
from engine.labeling.exports.labelled import Labelled


def write(labelled: Labelled, path: Path) -> int:
    """Write all images, one column of the vector a class in the order of `classes`; return the lines."""
    number = {name: place for place, name in enumerate(labelled.classes)}
    vectors = [[float(place == other) for other in range(len(number))] for place in range(-1, len(number))]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "label"])
        for block in tables(labelled):
            names, labels = block["image"].to_pylist(), block["label"].to_pylist()
            places = (number.get(label, -1) for label in labels)
            writer.writerows((name, vectors[place + 1]) for name, place in zip(names, places, strict=True))
    return len(labelled.rows)
