"""The file for Embedding Atlas, read by the schema that the viewer documents."""

from __future__ import annotations

import json
import shutil
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from engine.drawing.atlas import _shown, export_atlas
from engine.errors import BadInput
from engine.store import Store
from engine.store.vectors import sort_key


@pytest.fixture
def store(tmp_path: Path, sample_store: Path) -> Store:
    shutil.copytree(sample_store, tmp_path / "store")
    return Store.open(tmp_path / "store")


def test_coordinates_neighbours_pictures_and_labels_are_there(store, tmp_path):
    done = export_atlas(store, tmp_path / "map.parquet", method="pca")
    table = pq.read_table(tmp_path / "map.parquet")
    assert table.schema.names == ["id", "name", "label", "projection_x", "projection_y", "neighbors", "image"]
    assert pa.types.is_struct(table.schema.field("neighbors").type) and table.num_rows == 340 == done.labelled
    np.testing.assert_array_equal(table["projection_x"].to_numpy(), done.map.xy[:, 0])
    vectors = store.vectors(store.space())
    keys = np.array([bytes.fromhex(one) for one in table["id"].to_pylist()], "S32")
    matrix = vectors.matrix[np.argsort(sort_key(vectors.ids))]
    assert (keys[1:] > keys[:-1]).all()
    cosines = matrix.astype(np.float64) @ matrix.T.astype(np.float64)
    np.fill_diagonal(cosines, -np.inf)
    for row, found in enumerate(table["neighbors"].to_pylist()):
        assert found["ids"] == np.argsort(-cosines[row], kind="stable")[:15].tolist()
        np.testing.assert_allclose(found["distances"], 1 - cosines[row, found["ids"]], atol=1e-6)
    truth = {row["id"]: row["label"] for row in store.labels.rows(where="source = 'given'")}
    assert table["label"].to_pylist() == [truth[bytes.fromhex(one)] for one in table["id"].to_pylist()]
    thumbnails = {row["id"]: row["thumbnail"] for row in store.thumbnails.rows()}
    for row in table.to_pylist():
        assert row["image"]["path"] == row["name"]
        assert row["image"]["bytes"] == thumbnails[bytes.fromhex(row["id"])]
    assert json.loads(table.schema.metadata[b"engine"])["run"] == done.map.run


def test_the_command_says_how_to_look_at_it(engine, store, tmp_path):
    line = ("export", "--format", "embedding-atlas", "--method", "pca", "--output", "m.parquet", "--store", store.path)
    answer = json.loads(engine(*line, "--json").stdout)
    assert (answer["rows"], answer["labelled"], answer["paths"]) == (340, 340, ["m.parquet"])
    assert engine(*line).stderr.startswith("look at them: embedding-atlas m.parquet --image image --x projection_x")


@pytest.mark.parametrize("name", ["map.csv", "none/map.parquet", "store"])
def test_it_needs_a_place_for_a_parquet_file(store, tmp_path, name):
    with pytest.raises(BadInput):
        export_atlas(store, tmp_path / name, method="pca")
    assert store.maps.count() == 0 and sorted(path.name for path in tmp_path.iterdir()) == ["store"]


def test_a_method_without_a_map_is_refused(engine, store):
    done = engine("export", "--method", "pca", "--output", "m.npy", "--store", store.path, check=False)
    assert done.returncode == 2 and "--format embedding-atlas" in done.stderr


def test_pictures_are_in_a_format_that_the_viewer_shows():
    buffer = BytesIO()
    Image.new("RGB", (8, 6), "red").save(buffer, "WEBP", lossless=True)
    made = _shown(buffer.getvalue())
    assert made is not None
    picture = Image.open(BytesIO(made))
    assert (picture.format, picture.size, picture.getpixel((2, 2))) == ("PNG", (8, 6), (255, 0, 0))
    assert _shown(made) == made and _shown(b"nothing") is None and _shown(None) is None
