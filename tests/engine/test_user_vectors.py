"""Vectors that the user brings: matched to the members, checked before anything is written, and for alignment."""

from __future__ import annotations

import io
import pickle
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import engine as api
from engine.errors import BadInput, EngineError, FingerprintMismatch
from engine.ingestion.intake import estimate, intake
from engine.ingestion.request import Request
from engine.ingestion.user_vectors import read_vectors
from engine.remove import remove
from engine.sources import open_source
from engine.store import Store
from tests.engine.colour import BLUE, GREEN, GREY, RED, SPEC, Notes, picture, write_tar

# In the order of the archive; by number it is 2, 10, 11, 30, and the broken one has a row too.
FILES = {
    "a/img10.png": picture(RED),
    "a/img2.png": picture(GREEN),
    "b/img30.png": b"no picture",
    "b/img11.png": picture(BLUE),
}
NAMES = list(FILES)
ROWS = np.arange(1, 13, dtype=np.float32).reshape(4, 3) ** 2
BY_NUMBER = [1, 0, 3, 2]


@pytest.fixture
def tar(tmp_path) -> Path:
    return write_tar(tmp_path / "pictures.tar", FILES)


def bring(tmp_path: Path, *vectors: str, sources=("pictures.tar",), encoders=("none",), **options) -> list[str]:
    """Ingest with --vectors; return the notes."""
    notes = Notes()
    paths = [str(tmp_path / name) for name in sources]
    request = Request(paths, encoders=list(encoders), vectors=list(vectors), workers=1, **options)
    intake(tmp_path / "store", request, progress=notes)
    return notes.notes


def stored(tmp_path: Path, space: str = "mine") -> dict[str, np.ndarray]:
    """Return the vector of every member that has one."""
    store = Store.open(tmp_path / "store")
    vectors = store.vectors(store.space(space))
    by_id = {vectors.ids[place].tobytes(): vectors.matrix[place] for place in range(len(vectors))}
    return {row["name"]: by_id[row["image"]] for row in store.members.rows() if row["image"] in by_id}


def assert_stored(tmp_path: Path, expected: dict[str, np.ndarray]) -> None:
    found = stored(tmp_path)
    assert found.keys() == expected.keys()
    for name, row in expected.items():
        np.testing.assert_allclose(found[name], row / np.linalg.norm(row), atol=1e-7)


GOOD = {name: ROWS[place] for place, name in enumerate(NAMES) if name != "b/img30.png"}


def as_npy(path, rows=ROWS):
    np.save(path / "v.npy", rows)
    return f"mine={path / 'v.npy'}"


def test_rows_in_the_order_of_members_a_rejected_one_has_its_row_too(tar, tmp_path):
    bring(tmp_path, as_npy(tmp_path))
    assert_stored(tmp_path, GOOD)


def test_what_a_restore_does_not_bring_back_is_said(tar, tmp_path):
    (tmp_path / "labels.csv").write_text("image,label\nimg2.png,cat\n")
    bring(tmp_path, as_npy(tmp_path), labels=tmp_path / "labels.csv")
    store, paths = Store.open(tmp_path / "store"), [str(tmp_path / "pictures.tar")]
    remove(store, [NAMES[0]])
    done = intake(tmp_path / "store", Request(paths, encoders=["none"], restore=True, workers=1))
    assert done["restored"] == 1
    vectors, labels = done["lacking"]
    assert vectors.startswith(
        "1 of 3 images have no vector in space mine; bring it: engine ingest SOURCE --vectors mine="
    )
    assert "--labels FILE" in labels
    remove(store, [NAMES[0]])
    bring(tmp_path, as_npy(tmp_path), labels=tmp_path / "labels.csv", restore=True)
    assert_stored(tmp_path, GOOD)
    again = intake(tmp_path / "store", Request(paths, encoders=["none"], restore=True, workers=1))
    assert (again["restored"], again["lacking"]) == (0, [])


@pytest.mark.parametrize("kind", [np.float64, np.float16, np.int32, np.uint8])
def test_other_kinds_of_numbers(tar, tmp_path, kind):
    bring(tmp_path, as_npy(tmp_path, ROWS.astype(kind)))
    assert_stored(tmp_path, {name: ROWS.astype(kind)[NAMES.index(name)].astype(np.float32) for name in GOOD})


def test_rows_in_fortran_order(tar, tmp_path):
    bring(tmp_path, as_npy(tmp_path, np.asfortranarray(ROWS)))
    assert_stored(tmp_path, GOOD)


def test_rows_in_the_order_of_numbers(tar, tmp_path):
    by_number = ROWS[np.argsort([10, 2, 30, 11])]
    bring(tmp_path, as_npy(tmp_path, by_number), vectors_order="number")
    assert_stored(tmp_path, GOOD)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_rows_in_the_order_of_a_list(tar, tmp_path, encoding):
    order = [3, 0, 1]
    (tmp_path / "list.txt").write_text("\n".join(NAMES[place] for place in order) + "\n", encoding=encoding)
    bring(tmp_path, as_npy(tmp_path, ROWS[order]), vectors_order=str(tmp_path / "list.txt"))
    assert_stored(tmp_path, GOOD)


@pytest.mark.parametrize("form", ["arrays", "names", "parquet", "parquet64"])
def test_files_keyed_by_name(tar, tmp_path, form):
    order = [3, 1]
    path = tmp_path / ("v.parquet" if form.startswith("parquet") else "v.npz")
    names, rows = [NAMES[place] for place in order], ROWS[order]
    if form == "arrays":
        np.savez(path, **dict(zip(names, rows, strict=True)))
    elif form == "names":
        np.savez(path, names=np.array(names), vectors=rows)
    else:
        kind = pa.list_(pa.float32(), 3) if form == "parquet" else pa.list_(pa.float64())
        pq.write_table(pa.table({"name": names, "vector": pa.array(rows.tolist(), kind)}), path)
    bring(tmp_path, f"mine={path}")
    assert_stored(tmp_path, {name: GOOD[name] for name in names})


def test_what_was_exported_comes_back(tar, tmp_path):
    bring(tmp_path, as_npy(tmp_path))
    api.open(tmp_path / "store").export(tmp_path / "out.parquet", form="parquet")
    bring(tmp_path, f"again={tmp_path / 'out.parquet'}")
    found, again = stored(tmp_path), stored(tmp_path, "again")
    assert found.keys() == again.keys()
    for name, row in found.items():
        np.testing.assert_allclose(row, again[name], atol=1e-7)


def test_several_sources_and_spaces_at_once(tar, tmp_path):
    write_tar(tmp_path / "more.tar", {"grey.png": picture(GREY), "red.png": picture(RED)})
    first = np.vstack([ROWS, [[1, 0, 0], ROWS[0]]])
    np.save(tmp_path / "w.npy", np.ones((6, 5)))
    bring(tmp_path, as_npy(tmp_path, first), f"other={tmp_path / 'w.npy'}", sources=("pictures.tar", "more.tar"))
    assert_stored(tmp_path, {**GOOD, "grey.png": np.array([1, 0, 0]), "red.png": ROWS[0]})
    assert stored(tmp_path, "other")["grey.png"].tolist() == pytest.approx([5**-0.5] * 5)


def test_a_source_named_twice_has_its_rows_twice(tar, tmp_path):
    bring(tmp_path, as_npy(tmp_path, np.vstack([ROWS, ROWS])), sources=("pictures.tar", "pictures.tar"))
    assert_stored(tmp_path, GOOD)


def test_more_images_join_the_space_later(tar, tmp_path):
    bring(tmp_path, as_npy(tmp_path))
    write_tar(tmp_path / "more.tar", {"grey.png": picture(GREY)})
    bring(tmp_path, as_npy(tmp_path, np.array([[0, 1, 0]])), sources=("more.tar",))
    assert_stored(tmp_path, {**GOOD, "grey.png": np.array([0, 1, 0])})


def test_vectors_for_images_that_are_there_already_are_a_run(tar, tmp_path):
    bring(tmp_path)
    bring(tmp_path, as_npy(tmp_path))
    assert_stored(tmp_path, GOOD)
    store = Store.open(tmp_path / "store")
    run = next(row["run"] for row in store.spaces_table.rows() if row["name"] == "mine")
    assert {row["event"] for row in store.runs.rows() if row["run"] == run} == {"start", "end"}


def test_the_same_image_with_another_vector_keeps_the_first_and_says_so(tmp_path):
    write_tar(tmp_path / "pictures.tar", {"1.png": picture(RED), "2.png": picture(BLUE), "3.png": picture(RED)})
    same = np.array([[1, 0, 0], [0, 1, 0], [2, 0, 0]], np.float32)
    assert bring(tmp_path, as_npy(tmp_path, same)) == []
    shutil.rmtree(tmp_path / "store")
    notes = bring(tmp_path, as_npy(tmp_path, np.eye(3, dtype=np.float32)))
    assert len(notes) == 1
    assert "1 members" in notes[0]
    assert stored(tmp_path)["3.png"].tolist() == [1, 0, 0]


def test_vectors_that_differ_from_those_stored_are_reported(tar, tmp_path):
    bring(tmp_path, as_npy(tmp_path))
    assert bring(tmp_path, as_npy(tmp_path)) == []
    notes = bring(tmp_path, as_npy(tmp_path, ROWS[[1, 0, 2, 3]]))
    assert len(notes) == 1
    assert "2 members" in notes[0]
    assert_stored(tmp_path, GOOD)


# --- what is refused before anything is written ---


def spoilt(row: int, value: float) -> np.ndarray:
    rows = ROWS.copy()
    rows[row] = value
    return rows


def npz(**arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def npy(array, **options) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def parquet(**columns) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


class Bomb:
    """Makes a file when it is unpickled."""

    def __reduce__(self):
        return Path.touch, (Path("exploded"),)


BAD_FILES = [
    ("v.npy", npy(ROWS[:3]), r"3 rows.*4 members.*'b/img11.png' has no row"),
    ("v.npy", npy(np.vstack([ROWS, ROWS])), r"8 rows.*4 members.*row 4 has no member"),
    ("v.npy", npy(spoilt(1, np.nan)), r"row 1 \(a/img2.png\) is not finite"),
    ("v.npy", npy(spoilt(3, np.inf)), r"row 3 \(b/img11.png\) is not finite"),
    ("v.npy", npy(spoilt(0, 0)), r"row 0 \(a/img10.png\) is zero"),
    ("v.npy", npy(ROWS[0]), r"\(3,\)"),
    ("v.npy", npy(ROWS[:, :0]), r"\(4, 0\)"),
    ("v.npy", npy(ROWS.astype(str)), "<U"),
    ("v.npy", npy(ROWS > 3), "bool"),
    ("v.npy", npy(ROWS * 1j), "complex"),
    ("v.npy", npy(ROWS)[:-8], "not a .npy"),
    ("v.npy", b"", "not a .npy"),
    ("v.npy", b"text", "not a .npy"),
    ("v.npy", b"PK\x03\x04 not a zip", "not a .npy"),
    ("v.npy", npz(a=ROWS), "archive"),
    ("v.npy", npy(np.array([Bomb()], object), allow_pickle=True), "not a .npy"),
    ("v.npy", pickle.dumps(Bomb()), "not a .npy"),
    ("v.npz", npz(a=np.array([Bomb()], object)), "cannot be read"),
    ("v.npz", npz(names=np.array([Bomb()], object), vectors=ROWS[:1]), "cannot be read"),
    ("v.npz", pickle.dumps(Bomb()), "cannot be read"),
    ("v.npz", b"PK\x03\x04", "cannot be read"),
    ("v.npz", b"", "cannot be read"),
    ("v.npz", npz(), "cannot be read"),
    ("v.npz", npz(names=np.array(NAMES), vectors=ROWS[:3]), "4 names and 3 vectors"),
    ("v.npz", npz(names=np.array(NAMES[:3]), vectors=ROWS), "3 names and 4 vectors"),
    ("v.npz", npz(names=np.array(["a/img2.png"] * 2), vectors=ROWS[:2]), "'a/img2.png' twice"),
    ("v.npz", npz(names=np.array(["nosuch.png"]), vectors=ROWS[:1]), "'nosuch.png'.*'a/img10.png'"),
    ("v.npz", npz(**{"a/img2.png": ROWS[0], "a/img10.png": ROWS[0, :2]}), "cannot be read"),
    ("v.npz", npz(**{"a/img2.png": spoilt(0, np.nan)[0]}), r"\(a/img2.png\) is not finite"),
    ("v.npz", npz(names=np.array(NAMES), vectors=ROWS[:, 0]), r"\(4,\)"),
    ("v.parquet", b"", "cannot be read"),
    ("v.parquet", b"PAR1text", "cannot be read"),
    ("v.parquet", parquet(id=NAMES), "columns id.*name and vector"),
    ("v.parquet", parquet(name=NAMES[:2], vector=[[1.0, 2.0], [1.0]]), "cannot be read"),
    ("v.parquet", parquet(name=[None, "a/img2.png"], vector=ROWS[:2].tolist()), "without name"),
    ("v.parquet", parquet(name=NAMES[:2], vector=[[1.0, 2.0], None]), "without name or vector"),
    ("v.parquet", parquet(name=NAMES[:1], vector=["text"]), "holds|cannot be read"),
    ("v.parquet", parquet(name=NAMES[:1], vector=[1.0]), "holds|cannot be read"),
    ("v.csv", b"1,2,3", "neither"),
]


@pytest.mark.parametrize(("name", "data", "message"), BAD_FILES)
def test_bad_files_are_refused_and_nothing_is_written(tar, tmp_path, monkeypatch, name, data, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(data)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(BadInput, match=message) as caught:
        bring(tmp_path, f"mine={tmp_path / name}")
    assert caught.value.remedy
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before
    with pytest.raises(BadInput, match=message):
        estimate(tmp_path / "store", Request([str(tar)], encoders=["none"], vectors=[f"mine={tmp_path / name}"]))


@pytest.mark.parametrize(
    ("argument", "options", "message"),
    [
        ("mine", {}, "NAME=FILE"),
        ("=v.npy", {}, "NAME=FILE"),
        ("mine=", {}, "NAME=FILE"),
        ("Mine=v.npy", {}, "NAME=FILE"),
        ("../mine=v.npy", {}, "NAME=FILE"),
        ("mine=nosuch.npy", {}, "no vectors file"),
        ("mine=.", {}, "no vectors file"),
        ("mine=v.npy", {"vectors_order": "nosuch"}, "nosuch"),
        ("mine=v.npy", {"vectors_order": "short.txt"}, "4 rows.*2 names"),
        ("mine=v.npy", {"vectors_order": "wrong.txt"}, "no members.*'x'"),
        ("mine=v.npy", {"vectors_order": "binary.txt"}, "UTF-8"),
        ("mine=v.npy", {"encoders": ["nosuch"]}, "unknown encoder"),
        ("mine=v.npy", {"labels": Path("nosuch.csv")}, "no labels file"),
        ("colour=v.npy", {"encoders": [SPEC]}, "colour"),
    ],
)
def test_bad_arguments_are_refused_and_nothing_is_written(tar, tmp_path, monkeypatch, argument, options, message):
    monkeypatch.chdir(tmp_path)
    np.save("v.npy", ROWS)
    (tmp_path / "short.txt").write_text("\n".join(NAMES[:2]))
    (tmp_path / "wrong.txt").write_text("\n".join([*NAMES[:3], "x"]))
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\n\n\n\n")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(EngineError, match=message) as caught:
        bring(tmp_path, argument, **options)
    assert caught.value.remedy
    assert sorted(tmp_path.iterdir()) == before


def test_names_without_a_number_have_no_order_of_numbers(tmp_path):
    tar = write_tar(tmp_path / "p.tar", {"1.png": b"", "two.png": b""})
    np.save(tmp_path / "v.npy", ROWS[:2])
    with pytest.raises(BadInput, match=r"'two\.png' has no number"):
        read_vectors(f"mine={tmp_path / 'v.npy'}", [open_source(tar)], order="number")


def test_another_dimension_or_an_encoders_space_is_refused_and_the_store_stays(tar, tmp_path):
    bring(tmp_path, as_npy(tmp_path), encoders=[SPEC])
    before = Store.open(tmp_path / "store").versions()
    np.save(tmp_path / "w.npy", np.ones((4, 5)))
    with pytest.raises(FingerprintMismatch, match=r"3-d.*5-d"):
        bring(tmp_path, f"mine={tmp_path / 'w.npy'}")
    with pytest.raises(FingerprintMismatch, match="colour"):
        bring(tmp_path, f"colour={tmp_path / 'v.npy'}")
    with pytest.raises(BadInput, match="same name"):
        bring(tmp_path, as_npy(tmp_path), as_npy(tmp_path))
    assert Store.open(tmp_path / "store").versions() == before


# --- alignment, on real photos ---


@pytest.fixture(scope="module")
def photos(sample_store, sample_tar, tmp_path_factory):
    """Return the sample's vectors in member order."""
    path = tmp_path_factory.mktemp("photos") / "v.npy"
    api.open(sample_store).export(path)
    names = [line.split(",")[1] for line in path.with_suffix(".csv").read_text().splitlines()[1:]]
    assert names == [name for _, name in open_source(sample_tar).names()]
    return np.load(path)


@pytest.mark.parametrize(("shift", "loud"), [(0, False), (1, True), (-1, True)])
def test_rows_shifted_by_one_are_a_loud_warning(photos, sample_store, sample_tar, tmp_path, shift, loud):
    shutil.copytree(sample_store, tmp_path / "store")
    # Another network would differ: turned, and with some noise of its own.
    rng = np.random.default_rng(0)
    turned = photos @ np.linalg.qr(rng.normal(size=(1280, 64)))[0] + rng.normal(scale=0.01, size=(340, 64))
    np.save(tmp_path / "v.npy", np.roll(turned, shift, axis=0).astype(np.float32))
    notes = Notes()
    request = Request([str(sample_tar)], encoders=["none"], vectors=[f"mine={tmp_path / 'v.npy'}"])
    intake(tmp_path / "store", request, progress=notes)
    (note,) = notes.notes
    assert "10-NN overlap with space 'efficientnet_lite0'" in note
    assert note.startswith("WARNING: the rows probably belong to other images") is loud
