"""How labels leave the store. Each format is a file with one function `write(labelled, path)`; adding one is a line."""

from __future__ import annotations

FORMATS = {
    "csv": "engine.labeling.exports.csv_file:write",
    "parquet": "engine.labeling.exports.parquet:write",
    "onehot": "engine.labeling.exports.onehot:write",
    "folder": "engine.labeling.exports.folder:write",
    "webdataset": "engine.labeling.exports.webdataset:write",
    "coco": "engine.labeling.exports.coco:write",
}
