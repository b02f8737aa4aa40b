"""How labels leave the store. Each format is a file with one function `write(labelled, path)`; adding one is a line."""

from __future__ import annotations

FORMATS = {
    "csv": "engine.exports.csv_file:write",
    "parquet": "engine.exports.parquet:write",
    "onehot": "engine.exports.onehot:write",
    "folder": "engine.exports.folder:write",
    "webdataset": "engine.exports.webdataset:write",
    "coco": "engine.exports.coco:write",
}
