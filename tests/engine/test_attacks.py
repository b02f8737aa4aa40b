"""What once went wrong: sources that change between two commands, torn manifests, restored backups, rude encoders."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from engine.encoders import load
from engine.errors import BadInput
from engine.ingestion.embed import embed
from engine.ingestion.intake import intake
from engine.ingestion.request import Request
from engine.relocate import relocate
from engine.retrieval.query import Query
from engine.retrieval.search import search
from engine.store import Store
from engine.verify import drift, repair, verify
from tests.engine.colour import SPEC, picture, write_tar

WRITES_INTO_ITS_INPUT = """
class Wipe:
    space, dim = "wipe", 1

    def encode(self, images):
        for image in images:
            image[:] = 0
        return [[1.0]] * len(images)
"""


def shade(n: int) -> bytes:
    return picture((n % 251 + 1, 7 * n % 241, 3 * n % 239))


def folder(path: Path, names: range) -> Path:
    path.mkdir(exist_ok=True)
    for n in names:
        (path / f"{n:03}.png").write_bytes(shade(n))
    return path


def test_a_folder_that_grew_can_be_embedded_and_verified(tmp_path: Path) -> None:
    """The ordinals of its old listing point to other files; the new listing is what counts."""
    photos = folder(tmp_path / "photos", range(1, 40))
    path = tmp_path / "store"
    intake(path, Request([str(photos)], encoders=[SPEC], workers=1))
    folder(photos, range(1))
    intake(path, Request([str(photos)], encoders=[SPEC], workers=1))
    store = Store.open(path)
    done = embed(store, load(SPEC, space="second"), workers=1)
    assert (done.rows, done.changed) == (40, 0)
    verdict = verify(store, read_bytes=True)
    assert (verdict.problems, verdict.members, verdict.images) == ([], 79, 40)
    assert drift(store, 40, space="second").images == 40


def test_relocating_to_a_tar_that_grew_does_not_hide_what_is_new(tmp_path: Path) -> None:
    files = {f"{n:03}.png": shade(n) for n in range(30)}
    old = write_tar(tmp_path / "old.tar", dict(list(files.items())[:28]))
    new = write_tar(tmp_path / "new.tar", files)
    path = tmp_path / "store"
    intake(path, Request([str(old)], encoders=[SPEC], workers=1))
    relocate(Store.open(path), old, new)
    intake(path, Request([str(new)], encoders=[SPEC], workers=1))
    assert Store.open(path).images.count() == 30


def test_a_backup_that_is_put_back_is_not_answered_from_the_old_cache(tmp_path: Path) -> None:
    """Versions, fragment numbers and row counts can all be the same again; the files are not."""
    path = tmp_path / "store"
    for part, names in (("p", range(10)), ("q", range(10, 20)), ("r", range(20, 30))):
        if part == "r":
            for table in path.glob("*.lance"):
                shutil.rmtree(table)
            shutil.copytree(tmp_path / "backup", path, dirs_exist_ok=True)
        source = write_tar(tmp_path / f"{part}.tar", {f"{part}{n}.png": shade(n) for n in names})
        intake(path, Request([str(source)], encoders=[SPEC], workers=1))
        if part == "p":
            shutil.copytree(path, tmp_path / "backup", ignore=shutil.ignore_patterns("cache", ".*"))
        answer = search(Store.open(path), Query(names=[f"{part}{names[0]}"]), k=50)
    assert {hit.name[0] for hit in answer.hits} == {"p", "r"}
    assert len(answer.hits) == 20


@pytest.mark.parametrize("keep", (0, 3, 0.5))
def test_a_manifest_that_was_cut_off_is_repaired(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "store"
    for part in ("p", "q"):
        source = write_tar(tmp_path / f"{part}.tar", {f"{part}.png": shade(ord(part))})
        intake(path, Request([str(source)], encoders=[SPEC], workers=1))
    manifest = min((path / "members.lance" / "_versions").glob("*.manifest"), key=lambda one: one.stem.zfill(20))
    size = manifest.stat().st_size
    os.truncate(manifest, int(size * keep) if keep < 1 else int(keep))
    store = Store.open(path)
    assert not verify(store).ok
    assert len(repair(store)) == 1
    assert store.members.count() == 1


def test_an_encoder_cannot_write_into_what_the_next_one_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wipe.py").write_text(WRITES_INTO_ITS_INPUT)
    monkeypatch.syspath_prepend(tmp_path)
    source = write_tar(tmp_path / "p.tar", {"p.png": shade(1)})
    with pytest.raises(BadInput, match="read-only"):
        intake(tmp_path / "store", Request([str(source)], encoders=["wipe:Wipe", SPEC], workers=1))


def test_a_name_too_long_for_a_file_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    source = write_tar(tmp_path / "p.tar", {"p.png": shade(1)})
    with pytest.raises(BadInput, match="64"):
        intake(tmp_path / "store", Request([str(source)], encoders=[SPEC], space="b" * 65, workers=1))
    assert not (tmp_path / "store").exists()


def test_what_is_neither_file_nor_folder_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "f.jpg")
    with pytest.raises(Exception, match="neither a file nor a folder"):
        intake(tmp_path / "store", Request([str(tmp_path / "f.jpg")], encoders=[SPEC]))
