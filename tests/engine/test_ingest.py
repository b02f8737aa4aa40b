"""Every member ends as an image or as rejected, exactly once, with the vectors that were worked out by hand."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine import encoders
from engine.errors import BadInput, EngineError, FingerprintMismatch, NoSuchImage
from engine.ingestion.embed import embed
from engine.ingestion.ingest import Report, ingest
from engine.remove import remove
from engine.sources import open_source
from engine.store import Store
from engine.store.names import resolve
from engine.verify import verify
from tests.engine.colour import BLUE, GREEN, GREY, OLIVE, RED, SPEC, picture, unit, write_tar

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "store")


def colour() -> encoders.Encoder:
    return encoders.load(SPEC)


def take(store: Store, *paths: Path, **options: object) -> Report:
    """Ingest into the space of colours with one worker."""
    return ingest(store, [open_source(path) for path in paths], [colour()], workers=1, **options)  # type: ignore[arg-type]


def counts(report: Report) -> tuple[int, int, int, int]:
    return report.members, report.images, report.duplicates, report.rejected


def ledger(store: Store) -> dict[str, str | None]:
    """Return name → reason of rejection (None: an image), each name once."""
    rows = store.members.rows(["name", "rejected"])
    assert len({row["name"] for row in rows}) == len(rows)
    return {row["name"]: row["rejected"] for row in rows}


def vectors(store: Store) -> dict[bytes, np.ndarray]:
    cache = store.vectors(store.space("colour"))
    return {one.tobytes(): np.array(row) for one, row in zip(cache.ids, cache.matrix, strict=True)}


def assert_whole(store: Store) -> None:
    verdict = verify(store, read_bytes=True)
    assert verdict.ok, verdict.problems


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a tar of five pictures, one of them twice and one as JPEG."""
    files = {
        "red.png": picture(RED),
        "green.png": picture(GREEN),
        "again/red.png": picture(RED),
        "blue.jpg": picture(BLUE, (900, 600), "JPEG"),
        "grey.png": picture(GREY, (700, 1400)),
    }
    return write_tar(tmp_path / "photos.tar", files)


# --- what is stored ---


def test_ids_vectors_and_thumbnails(store, photos):
    assert counts(take(store, photos)) == (5, 4, 1, 0)
    with tarfile.open(photos) as tar:
        data = {name: tar.extractfile(name).read() for name in tar.getnames()}
    ids = {name: hashlib.sha256(one).digest() for name, one in data.items()}
    rows = {row["name"]: row for row in store.members.rows()}
    assert {name: row["image"] for name, row in rows.items()} == ids
    assert [rows[name]["ordinal"] for name in data] == list(range(5))
    for name, row in rows.items():
        at = row["offset"]
        assert photos.read_bytes()[at : at + row["size"]] == data[name]
    found = vectors(store)
    assert found.keys() == set(ids.values())
    for name, value in {"red.png": RED, "green.png": GREEN, "grey.png": GREY, "blue.jpg": BLUE}.items():
        # JPEG loses a little.
        np.testing.assert_allclose(found[ids[name]], unit(value), atol=0.01 if name.endswith("jpg") else 1e-6)
    images = {row["id"]: row for row in store.images.rows()}
    grey, blue = images[ids["grey.png"]], images[ids["blue.jpg"]]
    assert (grey["width"], grey["height"], grey["format"], grey["bytes"]) == (700, 1400, "PNG", len(data["grey.png"]))
    assert (blue["width"], blue["height"], blue["format"]) == (900, 600, "JPEG")
    thumbnails = {row["id"]: row["thumbnail"] for row in store.thumbnails.rows()}
    assert thumbnails.keys() == set(ids.values())
    assert thumbnails[ids["red.png"]] == data["red.png"], "a small picture is its own thumbnail"
    drawn = Image.open(io.BytesIO(thumbnails[ids["grey.png"]]))
    assert drawn.size == (128, 256)
    assert np.abs(np.asarray(drawn.convert("RGB"), int) - 90).max() <= 3
    assert_whole(store)


def test_every_kind_of_bad_member_is_rejected_with_its_reason(store, tmp_path):
    link = tarfile.TarInfo("link.png")
    link.type, link.linkname = tarfile.SYMTYPE, "red.png"
    device = tarfile.TarInfo("device")
    device.type = tarfile.CHRTYPE
    bad = {
        "empty.png": (b"", "empty"),
        "text.jpg": (b"not a picture at all", "not an image"),
        "cut.png": (picture(GREY, (60, 60))[:-30], "truncated"),
        "/absolute.png": (picture(OLIVE), "leaves the archive"),
        "../up.png": (picture(OLIVE), "leaves the archive"),
        "large.png": (picture(OLIVE, (200, 200)), "max-pixels"),
    }
    good = {"red.png": picture(RED), "green.png": picture(GREEN), "red again.png": picture(RED)}
    files = {"red.png": good["red.png"], **{name: data for name, (data, _) in bad.items()}, **good}
    tar = write_tar(tmp_path / "bad.tar", files, link, device)
    report = take(store, tar, max_pixels=200 * 200 - 1)
    assert counts(report) == (11, 2, 1, 8)
    assert sum(report.reasons.values()) == 8
    found = ledger(store)
    for name, (_, reason) in bad.items():
        assert reason in str(found[name]), (name, found[name])
    assert "symbolic link to 'red.png'" in str(found["link.png"])
    assert "device" in str(found["device"])
    assert {name for name, reason in found.items() if reason is None} == good.keys()
    assert len(vectors(store)) == 2
    assert_whole(store)


def test_images_without_vectors(store, photos):
    report = ingest(store, [open_source(photos)], [], workers=1)
    assert counts(report) == (5, 4, 1, 0)
    assert store.spaces() == {}
    assert_whole(store)
    done = embed(store, colour(), workers=1)
    assert done.rows == 4
    assert len(vectors(store)) == 4
    assert embed(store, colour(), workers=1).rows == 0
    assert_whole(store)


def test_several_workers_and_blocks_give_the_same(tmp_path, store, sample_tar, monkeypatch):
    ingest(store, [open_source(sample_tar)], [colour()], workers=1)
    other = Store.create(tmp_path / "other")
    monkeypatch.setattr("engine.ingestion.commit.BLOCK_ROWS", 50)
    ingest(other, [open_source(sample_tar)], [colour()], workers=3)
    columns = ["ordinal", "name", "image", "rejected", "offset", "size"]
    assert other.members.read(columns).sort_by("ordinal") == store.members.read(columns).sort_by("ordinal")
    expected, found = vectors(store), vectors(other)
    assert expected.keys() == found.keys()
    for image, row in expected.items():
        np.testing.assert_array_equal(found[image], row)


# --- doing it again ---


def test_again_decodes_nothing_and_adds_nothing(store, photos, tmp_path):
    take(store, photos)
    # Were the pictures looked at again they would be rejected now; size and time are those of before.
    state = photos.stat()
    before = store.versions()
    photos.write_bytes(bytes(state.st_size))
    os.utime(photos, ns=(state.st_atime_ns, state.st_mtime_ns))
    report = ingest(store, [open_source(tmp_path / "photos.tar")], [colour()], workers=1)
    assert (report.run, *counts(report)) == (None, 0, 0, 0, 0)
    assert store.versions() == before


class Counting:
    """The encoder of colours, which notes how many pictures it was given at a time."""

    def __init__(self) -> None:
        self.given: list[int] = []
        self._colour = colour()

    def __getattr__(self, name: str) -> object:
        return getattr(self._colour, name)

    def encode(self, pixels):
        self.given.append(len(pixels))
        return self._colour.encode(pixels)


def test_pictures_that_have_their_vectors_are_not_encoded_again(store, photos, tmp_path):
    take(store, photos)
    expected = vectors(store)
    fresh = (90, 10, 200)
    more = {
        "old.png": picture(RED),
        "new.png": picture(fresh),
        "broken.png": b"no picture",
        "older.png": picture(GREEN),
    }
    write_tar(tmp_path / "more.tar", more)
    counting = Counting()
    report = ingest(store, [open_source(tmp_path / "more.tar")], [counting], workers=1)
    assert counts(report) == (4, 1, 2, 1)
    # Whatever an encoder is tried with at first, of these four it sees the one that is new.
    assert sum(counting.given) == 1
    added = vectors(store)
    assert all(np.array_equal(added[one], row) for one, row in expected.items())
    (new,) = added.keys() - expected.keys()
    np.testing.assert_allclose(added[new], unit(fresh), atol=1e-6)
    assert_whole(store)


def test_a_picture_whose_vector_is_gone_is_encoded_when_it_comes_again(store, photos, tmp_path):
    take(store, photos)
    expected = vectors(store)
    gone = resolve(store, "green.png")
    store.vectors_table(store.space("colour")).delete(f"id = x'{gone.hex()}'")
    assert gone not in vectors(store)
    write_tar(tmp_path / "more.tar", {"old.png": picture(RED), "older.png": picture(GREEN)})
    counting = Counting()
    ingest(store, [open_source(tmp_path / "more.tar")], [counting], workers=1)
    assert sum(counting.given) == 1
    assert vectors(store)[gone] == pytest.approx(expected[gone])
    assert_whole(store)


@pytest.mark.parametrize("kind", ["tar", "folder"])
def test_what_is_left_of_a_source_is_taken_in_and_nothing_else(store, photos, tmp_path, kind):
    if kind == "folder":
        with tarfile.open(photos) as tar:
            tar.extractall(tmp_path / "folder", filter="data")
    path = {"tar": photos, "folder": tmp_path / "folder"}[kind]
    take(store, path)
    expected = vectors(store)
    # As a kill would leave it: the ledger is written last.
    store.members.delete("ordinal >= 3")
    store.sources.merge(
        store.sources.read().set_column(
            store.sources.schema.get_field_index("complete"), store.sources.schema.field("complete"), [[False]]
        ),
        update="true",
    )
    assert not verify(store).ok
    assert counts(take(store, path)) == (2, 0, 2, 0)
    assert vectors(store).keys() == expected.keys()
    assert_whole(store)
    assert counts(take(store, path)) == (0, 0, 0, 0)


def test_sources_that_overlap_share_their_images(store, tmp_path):
    first = write_tar(tmp_path / "first.tar", {"a.png": picture(RED), "b.png": picture(GREEN)})
    second = write_tar(tmp_path / "second.tar", {"c.png": picture(GREEN), "d.png": picture(BLUE)})
    assert counts(take(store, first, second)) == (4, 3, 1, 0)
    assert store.sources.count("complete") == 2
    assert len(vectors(store)) == 3
    assert_whole(store)


def test_a_source_named_twice_is_taken_once(store, photos):
    assert counts(take(store, photos, photos)) == (5, 4, 1, 0)
    assert store.members.count() == 5
    assert_whole(store)


def test_a_source_that_changed_before_its_end_is_whole_in_the_end(store, tmp_path):
    tar = write_tar(tmp_path / "a.tar", {"a.png": picture(RED)})
    take(store, tar)
    column = store.sources.schema.get_field_index("complete")
    rows = store.sources.read().set_column(column, store.sources.schema.field("complete"), [[False]])
    store.sources.merge(rows, update="true")
    assert any("a.tar is not ingested to its end" in problem for problem in verify(store).problems)
    write_tar(tar, {"a.png": picture(RED), "b.png": picture(BLUE)})
    take(store, tar)
    assert verify(store).ok


def test_rejected_members_are_tried_again_when_asked(store, tmp_path):
    tar = write_tar(tmp_path / "a.tar", {"big.png": picture(RED, (90, 90)), "text": b"text", "ok.png": picture(BLUE)})
    assert counts(take(store, tar, max_pixels=500)) == (3, 1, 0, 2)
    assert counts(take(store, tar)) == (0, 0, 0, 0)
    assert counts(take(store, tar, retry_rejected=True)) == (2, 1, 0, 1)
    assert {name for name, reason in ledger(store).items() if reason} == {"text"}
    np.testing.assert_allclose(vectors(store)[resolve(store, "big")], unit(RED), atol=1e-6)
    assert_whole(store)


def test_what_was_removed_stays_away_until_it_is_restored(store, photos):
    take(store, photos)
    image = resolve(store, "again/red.png")
    assert remove(store, ["again/red.png"])[1:3] == (1, 2)
    assert image not in vectors(store)
    assert_whole(store)
    assert counts(take(store, photos)) == (0, 0, 0, 0)
    with pytest.raises(NoSuchImage, match="--restore"):
        resolve(store, "red")
    assert counts(take(store, photos, restore=True)) == (2, 1, 1, 0)
    assert resolve(store, "again/red.png") == image
    np.testing.assert_allclose(vectors(store)[image], unit(RED), atol=1e-6)
    assert_whole(store)


def test_a_removed_image_comes_back_with_another_source(store, photos, tmp_path):
    take(store, photos)
    remove(store, ["green"])
    other = write_tar(tmp_path / "other.tar", {"leaf.png": picture(GREEN)})
    assert counts(take(store, other)) == (1, 1, 0, 0)
    assert resolve(store, "leaf") == hashlib.sha256(picture(GREEN)).digest()
    assert_whole(store)


def test_a_space_keeps_its_encoder(store, photos):
    take(store, photos)

    class Other(type(colour()._encoder)):  # type: ignore[misc]
        fingerprint = "0" * 12

    other = colour()
    other.__dict__["_encoder"] = Other()
    before = store.versions([store.members, store.images])
    with pytest.raises(FingerprintMismatch, match=r"c0104ec0104e.*000000000000"):
        embed(store, other, workers=1)
    assert store.versions([store.members, store.images]) == before


# --- sources that end too soon ---


@pytest.mark.parametrize("part", [0.3, 0.6])
def test_a_tar_cut_in_the_middle(engine, tmp_path, sample_tar, part):
    cut = tmp_path / "cut.tar"
    cut.write_bytes(sample_tar.read_bytes()[: int(sample_tar.stat().st_size * part)])
    whole = write_tar(tmp_path / "whole.tar", {"red.png": picture(RED)})
    done = engine("ingest", cut, whole, "--encoder", SPEC, "--store", "s", "--workers", 1, check=False)
    assert done.returncode == 1
    assert "cut.tar" in done.stderr
    assert "Traceback" not in done.stderr
    store = Store.open(tmp_path / "s")
    with tarfile.open(sample_tar) as tar:
        sizes = [(header.offset_data + header.size, header.name) for header in tar if header.isreg()]
    before = [name for end, name in sizes if end <= cut.stat().st_size]
    assert ledger(store) == dict.fromkeys([*before, "red.png"])
    assert_whole(store)
    # It is said again, and nothing is done.
    again = engine("ingest", cut, "--encoder", SPEC, "--store", "s", check=False)
    assert again.returncode == 1
    assert "0 members" in again.stdout


# --- processes that die ---

BYTES_THAT_KILL = b"this picture kills its decoder"

SITE = """
import os, sys
from importlib.abc import MetaPathFinder

class Hook(MetaPathFinder):
    # Once engine.decode is imported by a decoding process, its function is another.
    def find_spec(self, name, path, target=None):
        if name == "engine.workers":
            sys.meta_path.remove(self)
            from engine import decode
            real = decode.decode
            def patched(data, **options):
                {body}
                return real(data, **options)
            decode.decode = patched
        return None

sys.meta_path.insert(0, Hook())
"""


@pytest.fixture
def hooked(tmp_path: Path, engine: Callable) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs the ingest with `body` in front of every call of the decoder, in every process."""

    def run(body: str, *paths: Path, workers: int = 2) -> subprocess.CompletedProcess[str]:
        site = tmp_path / "site"
        site.mkdir(exist_ok=True)
        (site / "sitecustomize.py").write_text(SITE.format(body=body))
        return engine(
            "ingest", *paths, "--encoder", SPEC, "--store", "s", "--workers", workers,
            env={"PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}, check=False,
        )  # fmt: skip

    return run


def many(tmp_path: Path, *, deadly: Sequence[int]) -> Path:
    files = {f"{n:03}.png": picture((n + 1, 2 * n % 251, 3 * n % 241)) for n in range(200)}
    files |= {f"{n:03}.png": BYTES_THAT_KILL for n in deadly}
    return write_tar(tmp_path / "many.tar", files)


@pytest.mark.parametrize("death", ["os._exit(1)", "os.kill(os.getpid(), 11)"])
def test_a_picture_that_kills_its_decoder_is_rejected_and_its_neighbours_are_stored(hooked, tmp_path, death):
    deadly = [0, 70, 71, 199]
    done = hooked(f"if data == {BYTES_THAT_KILL!r}: {death}", many(tmp_path, deadly=deadly))
    assert done.returncode == 0, done.stderr
    store = Store.open(tmp_path / "s")
    found = ledger(store)
    assert {name for name, reason in found.items() if reason} == {f"{n:03}.png" for n in deadly}
    assert all("its decoder died (exit code" in str(found[f"{n:03}.png"]) for n in deadly)
    expected = {hashlib.sha256(picture(c)).digest(): unit(c) for n in range(200) if n not in deadly
                for c in [(n + 1, 2 * n % 251, 3 * n % 241)]}  # fmt: skip
    stored = vectors(store)
    assert stored.keys() == expected.keys()
    for image, row in expected.items():
        np.testing.assert_allclose(stored[image], row, atol=1e-6)
    assert_whole(store)


def test_a_killed_decoding_process_loses_and_rejects_nothing(hooked, tmp_path):
    # Two are killed, the second perhaps while it is alone with a picture of the first.
    body = f"""
                import random, signal
                marks = {str(tmp_path)!r} + "/killed"
                count = os.path.getsize(marks) if os.path.exists(marks) else 0
                if count < 2 and random.random() < 0.05:
                    open(marks, "a").write("x")
                    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = hooked(body, many(tmp_path, deadly=[]), workers=2)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "killed").exists()
    store = Store.open(tmp_path / "s")
    assert ledger(store) == {f"{n:03}.png": None for n in range(200)}
    assert_whole(store)


def test_a_fault_of_ours_ends_the_run_and_rejects_nothing(hooked, tmp_path):
    done = hooked("raise ZeroDivisionError('ours')", many(tmp_path, deadly=[]))
    assert done.returncode not in (0, 1)
    assert "ZeroDivisionError in a decoding process: ours" in done.stderr
    store = Store.open(tmp_path / "s")
    assert store.members.count() == 0


def test_processes_that_cannot_start_reject_nothing(tmp_path):
    # A script that is not protected starts itself again in each process.
    tar = many(tmp_path, deadly=[])
    script = tmp_path / "script.py"
    script.write_text(
        "from engine.store import Store\n"
        "from engine.ingestion.ingest import ingest\n"
        "from engine.sources import open_source\n"
        f"store = Store.create({str(tmp_path / 's')!r})\n"
        f"ingest(store, [open_source({str(tar)!r})], [], workers=1)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "did not start" in done.stderr
    assert "__main__" in done.stderr
    assert Store.open(tmp_path / "s").members.count() == 0


class Broken:
    """An encoder that fails at the second call."""

    space, dim, geometry, calls = "broken", 3, None, 0
    fingerprint, note = "b" * 12, ""
    provenance: dict[str, str] = {}  # noqa: RUF012
    recipe = {"spec": "broken"}  # noqa: RUF012

    def encode(self, images):
        self.calls += 1
        if self.calls == 2:
            raise BadInput("broken on purpose")
        return np.ones((len(images), 3), np.float32)


def test_an_encoder_that_fails_ends_the_run_and_leaves_no_process(store, tmp_path):
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    before = set(children.read_text().split())
    with pytest.raises(EngineError, match="on purpose"):
        ingest(store, [open_source(many(tmp_path, deadly=[]))], [Broken()], workers=2)
    # The resource tracker of multiprocessing stays with its parent.
    left = set(children.read_text().split()) - before
    assert not [child for child in left if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
    report = take(store, tmp_path / "many.tar")
    assert report.members == 200
    assert_whole(store)
