"""Every source yields the same members with the same ordinals and bytes; and what each does with what is wrong."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import pickle
import socket
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from engine.errors import BadInput, SourceCut, SourceError
from engine.sources import SOURCES, Member, Source, expand, open_source, read_idx_labels, read_range

# Depth first and sorted, as a folder is walked, so that every kind can have the same order.
FILES = {
    "._hidden": b"AppleDouble",
    "a/0.jpg": b"first",
    "a/1.jpg": bytes(range(256)) * 40,
    "a/notes.txt": b"a text of its own",
    "b.cls": b"7",
    "b.jpg": b"beside its class",
    "b.json": b'{"x": 1}',
    "c.empty.png": b"",
    "labels.csv": b"image,label",
    "z/\u4e2d.bmp": b"name outside Latin",
}
NAMES = ["a/0.jpg", "a/1.jpg", "a/notes.txt", "b.jpg", "c.empty.png", "z/\u4e2d.bmp"]
TARS = ("tar", "tar.gz", "tar.bz2", "tar.xz")
ARCHIVES = (*TARS, "zip", "folder")
COMPRESS: Mapping[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


def header(name: str, size: int = 0, type: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, type, link
    return info


def make_tar(files: Mapping[str, bytes], *links: tarfile.TarInfo, format: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as tar:
        for name, data in files.items():
            tar.addfile(header(name, len(data)), io.BytesIO(data))
        for link in links:
            tar.addfile(link)
    return buffer.getvalue()


def build(root: Path, kind: str, files: Mapping[str, bytes] = FILES) -> Path:
    path = root / f"source.{kind}"
    if kind == "folder":
        for name, data in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
    elif kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for i, (name, data) in enumerate(files.items()):
                archive.writestr(name, data, zipfile.ZIP_STORED if i % 2 else zipfile.ZIP_DEFLATED)
    else:
        data = make_tar(files)
        path.write_bytes(COMPRESS[kind[4:]](data) if kind != "tar" else data)
    return path


def listed(source: Source) -> list[tuple[int, str]]:
    return list(source.names())


def until_cut(source: Source) -> tuple[list[Member], SourceCut | None]:
    found = []
    try:
        for member in source.members():
            found.append(member)
    except SourceCut as cut:
        return found, cut
    return found, None


def names_until_cut(source: Source) -> list[tuple[int, str]]:
    found = []
    try:
        for item in source.names():
            found.append(item)
    except SourceCut:
        return found
    return found


# --- the contract ---


@pytest.mark.parametrize("kind", ARCHIVES)
def test_names_ordinals_bytes(tmp_path: Path, kind: str) -> None:
    source = open_source(build(tmp_path, kind))
    assert source.kind == kind.partition(".")[0]
    assert os.path.isabs(source.path)
    assert listed(source) == list(enumerate(NAMES))
    members = list(source.members())
    assert [(m.ordinal, m.name) for m in members] == listed(source)
    assert [m.data for m in members] == [FILES[name] for name in NAMES]
    assert [m.size for m in members] == [len(FILES[name]) for name in NAMES]
    assert [m.problem for m in members] == [None] * len(NAMES)
    sidecars = {m.name: m.sidecar for m in members if m.sidecar}
    assert sidecars == {"b.jpg": {"cls": "7", "json": '{"x": 1}'}}


@pytest.mark.parametrize("kind", ARCHIVES)
@pytest.mark.parametrize("wanted", [{1, 3}, {0}, {2, 5}, set(), {5}])
def test_only_the_wanted(tmp_path: Path, kind: str, wanted: set[int]) -> None:
    source = open_source(build(tmp_path, kind))
    found = list(source.members(wanted.__contains__))
    assert [(m.ordinal, m.name, m.data) for m in found] == [(i, NAMES[i], FILES[NAMES[i]]) for i in sorted(wanted)]
    assert [m.sidecar for m in found] == [m.sidecar for m in source.members() if m.ordinal in wanted]


@pytest.mark.parametrize("kind", ARCHIVES)
def test_offsets_lead_to_the_bytes(tmp_path: Path, kind: str) -> None:
    source = open_source(build(tmp_path, kind))
    located = [m for m in source.members() if m.offset is not None]
    expected = {"tar": 6, "folder": 6, "zip": 5}.get(kind, 0)  # a/1.jpg is deflated there
    assert len(located) == expected
    for member in located:
        path = f"{source.path}/{member.name}" if kind == "folder" else source.path
        assert read_range(path, member.offset or 0, member.size) == member.data


@pytest.mark.parametrize("kind", ARCHIVES)
def test_digest_follows_the_source(tmp_path: Path, kind: str) -> None:
    path = build(tmp_path, kind)
    source = open_source(path)
    first = source.digest()
    assert len(first) == 16
    assert pickle.loads(pickle.dumps(source)).digest() == open_source(path).digest() == first
    target = path / "a/0.jpg" if kind == "folder" else path
    os.utime(target, ns=(1, 1))
    assert open_source(path).digest() != first
    os.utime(target, ns=(2, 2))
    second = open_source(path).digest()
    build(tmp_path, kind, {**FILES, "a/0.jpg": b"FIRST longer"})
    os.utime(target, ns=(2, 2))
    assert open_source(path).digest() != second


def test_a_folder_that_changes_meanwhile_keeps_its_ordinals(tmp_path: Path) -> None:
    path = build(tmp_path, "folder")
    source = open_source(path)
    digest, names = source.digest(), list(source.names())
    (path / "a/0.jpg").unlink()
    (path / "A.jpg").write_bytes(b"new")
    members = {member.ordinal: member for member in source.members()}
    assert (source.digest(), [(ordinal, member.name) for ordinal, member in members.items()]) == (digest, names)
    gone = next(ordinal for ordinal, name in names if name == "a/0.jpg")
    assert members[gone].data is None
    assert "No such file" in str(members[gone].problem)


def test_a_store_in_a_folder_is_none_of_its_pictures(tmp_path: Path) -> None:
    path = build(tmp_path, "folder")
    names = list(open_source(path).names())
    (path / "engine-store" / "members.lance").mkdir(parents=True)
    (path / "engine-store" / "x.jpg").write_bytes(b"x")
    assert list(open_source(path).names()) == names


@pytest.mark.parametrize("kind", ("tar", "zip"))
def test_digest_covers_the_member_table(tmp_path: Path, kind: str) -> None:
    digests = set()
    for name in ("a.jpg", "b.jpg"):
        path = build(tmp_path, kind, {name: b"same"})
        os.utime(path, ns=(1, 1))
        digests.add(open_source(path).digest())
    assert len(digests) == 2


@pytest.mark.parametrize("kind", ARCHIVES)
def test_no_members(tmp_path: Path, kind: str) -> None:
    path = build(tmp_path, kind, {})
    path.mkdir(exist_ok=True) if kind == "folder" else None
    source = open_source(path)
    assert (listed(source), list(source.members()), len(source.digest())) == ([], [], 16)


def test_registry() -> None:
    assert set(SOURCES) == {"tar", "zip", "folder", "file", "idx"}


# --- sidecars ---


@pytest.mark.parametrize("kind", ARCHIVES)
def test_sidecar_groups(tmp_path: Path, kind: str) -> None:
    files = {
        "01.cls": b"3",  # before its image
        "01.jpg": b"one",
        "01.txt": "caf\u00e9".encode(),  # and after it
        "02.json": b"{}",  # a group without an image: members
        "02.txt": b"alone",
        "03.left.png": b"L",  # two images share what is theirs
        "03.right.png": b"R",
        "03.txt": b"both",
        "04.jpg": b"four",
        "04.txt": b"\xff\xfe not UTF-8",
        "05.jpg": b"five",
        "05.txt": b"x" * ((1 << 20) + 1),  # too long
        "06.mp3": b"a member that is no image",
        "06.txt": b"its text is a member as well",
    }
    source = open_source(build(tmp_path, kind, files))
    members = list(source.members())
    assert [m.name for m in members] == [
        "01.jpg",
        "02.json",
        "02.txt",
        "03.left.png",
        "03.right.png",
        "04.jpg",
        "05.jpg",
        "06.mp3",
        "06.txt",
    ]
    assert [(m.ordinal, m.name) for m in members] == listed(source)
    assert [m.data for m in members] == [files[m.name] for m in members]
    assert {m.name: m.sidecar for m in members if m.sidecar} == {
        "01.jpg": {"cls": "3", "txt": "caf\u00e9"},
        "03.left.png": {"txt": "both"},
        "03.right.png": {"txt": "both"},
    }
    for i, member in enumerate(members):  # whichever is wanted alone, it is the same
        assert list(source.members(i.__eq__)) == [member]


@pytest.mark.parametrize("kind", TARS)
def test_a_group_of_one_key_needs_no_more_memory(tmp_path: Path, kind: str) -> None:
    files = {f"2024.{i:04}.jpg": bytes(1000) for i in range(300)}
    source = open_source(build(tmp_path, kind, files))
    assert [m.name for m in source.members()] == [name for _, name in listed(source)] == list(files)


# --- tar ---


@pytest.mark.parametrize("kind", TARS)
def test_links_devices_and_names_that_leave(tmp_path: Path, kind: str) -> None:
    data = make_tar(
        {"/etc/x.jpg": b"absolute", "a/../../y.jpg": b"dots", "..z.jpg": b"fine"},
        header("l.jpg", type=tarfile.SYMTYPE, link="/etc/passwd"),
        header("h.jpg", type=tarfile.LNKTYPE, link="..z.jpg"),
        header("d", type=tarfile.DIRTYPE),
        header("c.jpg", type=tarfile.CHRTYPE),
        header("f.jpg", type=tarfile.FIFOTYPE),
        header("last.jpg"),
        header("__MACOSX/last.jpg"),
    )
    path = tmp_path / "x.tar"
    path.write_bytes(COMPRESS.get(kind[4:], bytes)(data))
    source = open_source(path)
    members = list(source.members())
    assert [(m.ordinal, m.name) for m in members] == listed(source)
    assert [(m.ordinal, m.name, m.problem, m.data) for m in members] == [
        (0, "/etc/x.jpg", "name leaves the archive", None),
        (1, "a/../../y.jpg", "name leaves the archive", None),
        (2, "..z.jpg", None, b"fine"),
        (-1, "l.jpg", "symbolic link to '/etc/passwd'", None),
        (-2, "h.jpg", "hard link to '..z.jpg'", None),
        (-3, "c.jpg", "character device", None),
        (-4, "f.jpg", "FIFO", None),
        (3, "last.jpg", None, b""),
    ]
    assert [m.ordinal for m in source.members((-2).__eq__)] == [-2]


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("kind", TARS)
def test_every_format_and_long_names_as_tarfile_reads_them(tmp_path: Path, kind: str, format: int) -> None:
    long = "d" * 90 + "/" + "e" * 60 + ".jpg"
    files = {long: b"x" * 700, "\u00e9.png": b"y", "plain.gif": b"z" * 512}
    path = tmp_path / "x.tar"
    path.write_bytes(COMPRESS.get(kind[4:], bytes)(make_tar(files, format=format)))
    with tarfile.open(path) as oracle:
        expected = [(i, m.name, oracle.extractfile(m).read()) for i, m in enumerate(oracle)]  # type: ignore[union-attr]
    assert [(m.ordinal, m.name, m.data) for m in open_source(path).members()] == expected
    assert [name for _, name, _ in expected] == list(files)


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    data = bytearray(make_tar({"caf?.jpg": b"x"}))
    data[3] = 0xE9
    data[148:156] = b"%06o\0 " % (sum(data[:148]) + 8 * 32 + sum(data[156:512]))
    path.write_bytes(data)
    assert listed(open_source(path)) == [(0, "caf\\xe9.jpg")]


@pytest.mark.parametrize("kind", TARS)
def test_sparse_members(tmp_path: Path, kind: str) -> None:
    # The old GNU layout: 512 bytes at 1,024 of a file of 2,048, the rest holes.
    block = bytearray(header("hole.bmp", 512, type=tarfile.GNUTYPE_SPARSE).tobuf(tarfile.GNU_FORMAT))
    block[386:410] = b"%011o\0%011o\0" % (1024, 512)
    block[483:495] = b"%011o\0" % 2048
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    data = bytes(block) + b"s" * 512 + make_tar({"next.jpg": b"n"})
    path = tmp_path / "x.tar"
    path.write_bytes(COMPRESS.get(kind[4:], bytes)(data))
    sparse, following = open_source(path).members()
    assert (sparse.data, sparse.offset) == (bytes(1024) + b"s" * 512 + bytes(512), None)
    assert following.data == b"n"


@pytest.mark.parametrize("kind", TARS)
def test_declared_sizes_are_not_believed(tmp_path: Path, kind: str) -> None:
    lies = header("huge.jpg", 2 << 30).tobuf(tarfile.GNU_FORMAT) + bytes(1024)
    path = tmp_path / "x.tar"
    path.write_bytes(COMPRESS.get(kind[4:], bytes)(make_tar({"ok.jpg": b"ok"})[:1024] + lies))
    tracemalloc.start()
    members, cut = until_cut(open_source(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [m.data for m in members] == [b"ok"]
    assert cut is not None
    assert peak < 32 << 20


def test_a_member_over_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    size = (1 << 30) + 1
    with open(path, "wb") as file:  # a file with a hole: it takes no room
        file.write(header("big.jpg", size).tobuf(tarfile.GNU_FORMAT))
        file.seek(512 + size + -size % 512)
        file.write(make_tar({"ok.jpg": b"ok"}))
    big, following = open_source(path).members()
    assert (big.ordinal, big.data, big.size) == (0, None, size)
    assert big.problem == "1073741825 bytes, over the limit of 1073741824 for one file"
    assert following.data == b"ok"


@pytest.mark.parametrize("kind", TARS)
def test_every_cut(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(0)  # noise, so that compression does not swallow the cut
    files = {f"{i}.jpg": rng.bytes(700) for i in range(12)}
    whole = COMPRESS.get(kind[4:], bytes)(make_tar(files))
    expected = list(files.items())
    path = tmp_path / "x.tar"
    previous = 0
    for end in range(700, len(whole), 331):
        path.write_bytes(whole[:end])
        try:
            source = open_source(path)
        except SourceError:  # not even one header could be read
            assert kind != "tar"
            continue
        members, cut = until_cut(source)
        found = [(m.name, m.data) for m in members]
        assert found == expected[: len(found)]
        assert names_until_cut(source) == [(m.ordinal, m.name) for m in members]
        assert previous <= len(found)
        previous = len(found)
        if kind == "tar":
            assert len(found) == min(12, sum(end >= i * 1536 + 512 + 700 for i in range(12)))
            at_boundary = end % 1536 == 0 or end >= 12 * 1536
            assert (cut is None) == at_boundary
        else:
            assert cut is not None
        if cut is not None and found:
            assert f"after {found[-1][0]!r}; the {len(found)} members before are good" in str(cut)
        assert len(source.digest()) == 16
    # bzip2 holds all of this in one block; the others need a little more than the member itself to give it out.
    assert previous >= {"tar": 12, "tar.bz2": 0}.get(kind, 10)


def test_no_end_mark_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(make_tar({"a.jpg": b"a", "b.jpg": b"b"})[:2048])
    members, cut = until_cut(open_source(path))
    assert ([m.data for m in members], cut) == ([b"a", b"b"], None)


@pytest.mark.parametrize("kind", TARS)
def test_a_damaged_header_in_the_middle(tmp_path: Path, kind: str) -> None:
    data = bytearray(make_tar({f"{i}.jpg": bytes([i]) * 100 for i in range(5)}))
    data[3 * 1024 + 5] ^= 0xFF
    path = tmp_path / "x.tar"
    path.write_bytes(COMPRESS.get(kind[4:], bytes)(bytes(data)))
    members, cut = until_cut(open_source(path))
    assert [m.name for m in members] == ["0.jpg", "1.jpg", "2.jpg"]
    assert "after '2.jpg'; the 3 members before are good" in str(cut)


@pytest.mark.parametrize("kind", TARS)
@pytest.mark.parametrize("name", ["huge.jpg", "huge.csv"])
def test_an_absurd_size_is_no_long_loop(tmp_path: Path, kind: str, name: str) -> None:
    lies = header(name, 1 << 62).tobuf(tarfile.GNU_FORMAT)
    path = tmp_path / "x.tar"
    path.write_bytes(COMPRESS.get(kind[4:], bytes)(make_tar({"ok.jpg": b"ok"})[:1024] + lies + bytes(1024)))
    assert [m.data for m in until_cut(open_source(path))[0]] == [b"ok"]
    assert until_cut(open_source(path))[1] is not None


def test_a_size_below_zero_does_not_loop(tmp_path: Path) -> None:
    record = b"17 size=-99999999\n"
    pax = header("p", len(record), type=tarfile.XHDTYPE).tobuf(tarfile.USTAR_FORMAT) + record.ljust(512, b"\0")
    path = tmp_path / "x.tar"
    path.write_bytes(make_tar({"a.jpg": b"a"})[:1024] + pax + make_tar({"b.jpg": b"b"}))
    members, cut = until_cut(open_source(path))
    assert [m.name for m in members] == ["a.jpg"]
    assert cut is not None


@pytest.mark.parametrize("kind", TARS[1:])
def test_flipped_bits_in_a_compressed_tar_are_reported(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(1)
    files = {f"{i}.jpg": rng.bytes(200_000) for i in range(12)}
    whole = bytearray(COMPRESS[kind[4:]](make_tar(files)))
    whole[len(whole) // 2] ^= 0x10
    path = tmp_path / "x.tar"
    path.write_bytes(whole)
    members, cut = until_cut(open_source(path))
    assert cut is not None
    assert len(members) >= 4  # bzip2 loses a block of 900 kB
    assert [(m.name, m.data) for m in members[:4]] == list(files.items())[:4]


def test_compressed_in_several_streams(tmp_path: Path) -> None:
    data = make_tar({f"{i}.jpg": bytes([i]) * 5000 for i in range(9)})
    for kind, compress in COMPRESS.items():
        path = tmp_path / f"x.tar.{kind}"
        path.write_bytes(compress(data[:20_000]) + compress(data[20_000:]))
        assert [m.data for m in open_source(path).members()] == [bytes([i]) * 5000 for i in range(9)]


@pytest.mark.parametrize("kind", ("tar", "tar.gz"))
def test_memory_does_not_grow_with_the_archive(tmp_path: Path, kind: str) -> None:
    def peak(count: int) -> int:
        path = tmp_path / f"{count}.{kind}"
        with tarfile.open(path, "w:gz" if kind == "tar.gz" else "w") as tar:
            for i in range(count):
                tar.addfile(header(f"{i:06}.jpg", 3), io.BytesIO(b"abc"))
        source = open_source(path)
        tracemalloc.start()
        assert sum(1 for _ in source.members()) == count
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(8000) < 1.1 * peak(800) + 100_000


# --- zip ---


def zip_of(path: Path, *entries: tuple[zipfile.ZipInfo | str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytearray:
    with zipfile.ZipFile(path, "w", method) as archive:
        for info, data in entries:
            archive.writestr(info, data)
    return bytearray(path.read_bytes())


def problems(path: Path) -> list[tuple[int, str | None, bytes | None]]:
    source = open_source(path)
    members = list(source.members())
    assert [(m.ordinal, m.name) for m in members] == listed(source)
    return [(m.ordinal, m.problem, m.data) for m in members]


def test_zip_checksum(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    data = zip_of(path, ("a.jpg", b"aaaa"), ("b.jpg", b"bbbb"), method=zipfile.ZIP_STORED)
    data[data.index(b"aaaa")] ^= 1
    path.write_bytes(data)
    (_, problem, nothing), second = problems(path)
    assert (problem, nothing) == ("Bad CRC-32 for file 'a.jpg'", None)
    assert second == (1, None, b"bbbb")


@pytest.mark.parametrize("field, value, expected", [(6, 1, "encrypted"), (8, 99, "compression")])
def test_zip_encrypted_or_unknown_compression(tmp_path: Path, field: int, value: int, expected: str) -> None:
    path = tmp_path / "x.zip"
    data = zip_of(path, ("a.jpg", b"a" * 99), ("b.jpg", b"b" * 99))
    central = data.index(b"PK\x01\x02")
    struct.pack_into("<H", data, field, value)
    struct.pack_into("<H", data, central + field + 2, value)
    path.write_bytes(data)
    (ordinal, problem, nothing), second = problems(path)
    assert (ordinal, nothing) == (0, None)
    assert expected in str(problem)
    assert second == (1, None, b"b" * 99)


def test_zip_links_folders_and_names_that_leave(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("l.jpg")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    path = tmp_path / "x.zip"
    names = ("../up.jpg", "..\\up.jpg", "C:\\up.jpg", "d/", "._x.jpg")
    zip_of(path, (link, b"/etc/passwd"), *((name, b"") for name in names), ("ok.jpg", b"ok"))
    leaves = "name leaves the archive"
    assert problems(path) == [
        (-1, "symbolic link", None),
        (0, leaves, None),
        (1, leaves, None),
        (2, leaves, None),
        (3, None, b"ok"),
    ]


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_zip_bomb_with_a_modest_declared_size(tmp_path: Path, method: int) -> None:
    path = tmp_path / "x.zip"
    data = zip_of(path, ("bomb.jpg", bytes(100 << 20)), method=method)
    struct.pack_into("<I", data, data.index(b"PK\x01\x02") + 24, 1000)
    path.write_bytes(data)
    tracemalloc.start()
    ((_, problem, nothing),) = problems(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert problem and nothing is None
    assert peak < 64 << 20


def test_zip_declares_too_much(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    data = zip_of(path, ("a.jpg", b"a" * 50), ("b.jpg", b"b"))
    central = data.index(b"PK\x01\x02")
    struct.pack_into("<I", data, central + 24, 3 << 30)
    path.write_bytes(data)
    assert problems(path)[0][1] == "3221225472 bytes, over the limit of 1073741824 for one file"
    struct.pack_into("<I", data, central + 24, 60)
    path.write_bytes(data)
    assert problems(path) == [(0, "damaged: 50 bytes where 60 were declared", None), (1, None, b"b")]


def test_cut_zip(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    data = zip_of(path, ("a.jpg", b"a" * 5000))
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(SourceError, match="zip -FF"):
        list(open_source(path).names())


# --- folder, file ---


def test_folder_of_odd_things(tmp_path: Path) -> None:
    root = tmp_path / "f"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "sub" / "deep" / "x.jpg").write_bytes(b"deep")
    (root / ".hidden.jpg").write_bytes(b"hidden")
    (root / ".git").mkdir()
    (root / ".git" / "y.jpg").write_bytes(b"hidden")
    (root / "a.jpg").symlink_to("/etc/passwd")
    (root / "b").symlink_to(root / "sub")
    (root / "zz.jpg").write_bytes(b"last")
    os.mkfifo(root / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(root)  # the name of a socket has at most 107 bytes
        try:
            server.bind("s.jpg")
        finally:
            os.chdir(here)
        assert [(m.ordinal, m.name, m.problem, m.data) for m in open_source(root).members()] == [
            (-1, "a.jpg", "symbolic link to '/etc/passwd'", None),
            (-2, "b", f"symbolic link to '{root}/sub'", None),
            (-3, "pipe.jpg", "FIFO", None),
            (-4, "s.jpg", "socket", None),
            (0, "sub/deep/x.jpg", None, b"deep"),
            (1, "zz.jpg", None, b"last"),
        ]


def test_file_that_vanishes_from_a_folder(tmp_path: Path) -> None:
    path = build(tmp_path, "folder", {"a.jpg": b"a", "b.jpg": b"b"})
    members = open_source(path).members()
    first = next(members)
    (path / "b.jpg").unlink()
    assert (first.data, [(m.ordinal, m.problem) for m in members]) == (
        b"a",
        [(1, "unreadable: No such file or directory")],
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file_in_a_folder(tmp_path: Path) -> None:
    path = build(tmp_path, "folder", {"a.jpg": b"a", "d/x.jpg": b"x"})
    (path / "a.jpg").chmod(0)
    (path / "d").chmod(0)
    found = [(m.ordinal, m.name, m.problem) for m in open_source(path).members()]
    (path / "d").chmod(0o700)
    assert found == [
        (0, "a.jpg", "unreadable: Permission denied"),
        (-1, "d/", "unreadable folder: Permission denied"),
    ]


def test_single_file(tmp_path: Path) -> None:
    path = tmp_path / "one.jpg"
    path.write_bytes(b"\xff\xd8 picture")
    source = open_source(path)
    assert source.kind == "file"
    assert listed(source) == [(0, "one.jpg")]
    (member,) = source.members()
    assert (member.ordinal, member.data, member.offset, member.size) == (0, b"\xff\xd8 picture", 0, 10)
    assert list(source.members(lambda ordinal: False)) == []
    other = tmp_path / "two.jpg"
    other.write_bytes(path.read_bytes())
    os.utime(other, ns=(5, 5))
    os.utime(path, ns=(5, 5))
    assert open_source(other).digest() != source.digest()


# --- IDX ---


PICTURES = np.random.default_rng(0).integers(0, 256, (7, 4, 3), np.uint8)


def idx(magic: int, *sizes: int, data: bytes = b"") -> bytes:
    return struct.pack(f">{1 + len(sizes)}I", magic, *sizes) + data


@pytest.mark.parametrize("packed", [False, True])
def test_idx(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / ("images-idx3-ubyte" + ".gz" * packed)
    data = idx(0x803, 7, 4, 3, data=PICTURES.tobytes())
    path.write_bytes(gzip.compress(data) if packed else data)
    source = open_source(path)
    assert source.kind == "idx"
    assert listed(source) == [(i, f"images-idx3-ubyte/{i}") for i in range(7)]
    members = list(source.members())
    assert [(m.ordinal, m.name) for m in members] == listed(source)
    for i, member in enumerate(members):
        assert (member.data, member.shape, member.size) == (PICTURES[i].tobytes(), (4, 3), 12)
        assert member.offset == (None if packed else 16 + 12 * i)
        if not packed:
            assert read_range(source.path, member.offset or 0, member.size) == member.data
    assert list(source.members({2, 5}.__contains__)) == [members[2], members[5]]


@pytest.mark.parametrize("packed", [False, True])
def test_cut_idx(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "cut.gz"
    data = idx(0x803, 7, 4, 3, data=PICTURES.tobytes()[: 12 * 5 + 4])
    path.write_bytes(gzip.compress(data)[:-8] if packed else data)
    members, cut = until_cut(open_source(path))
    assert [m.data for m in members] == [picture.tobytes() for picture in PICTURES[:5]]
    assert "5 of 7 pictures are whole" in str(cut)
    assert len(names_until_cut(open_source(path))) == 5


@pytest.mark.parametrize(
    "data",
    [
        idx(0x801, 3, data=b"abc"),
        idx(0xD03, 1, 2, 2, data=bytes(16)),
        idx(0x804, 1, 1, 1, 1, data=b"a"),
        idx(0x803, 1, 0, 9),
        idx(0x803, 1, 1 << 31, 1 << 31),
        idx(0x803, 1),
    ],
)
def test_other_idx_files_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(data)
    with pytest.raises(SourceError):
        open_source(path)


def test_idx_labels(tmp_path: Path) -> None:
    path = tmp_path / "labels"
    for data in (idx(0x801, 4, data=b"\x03\x00\xff\x07"), gzip.compress(idx(0x801, 4, data=b"\x03\x00\xff\x07"))):
        path.write_bytes(data)
        labels = read_idx_labels(path)
        assert labels.dtype == np.uint8
        assert labels.tolist() == [3, 0, 255, 7]
    for data in (idx(0x801, 4_000_000_000, data=b"123"), b"", b"text", idx(0x803, 1, 1, 1, data=b"a")):
        path.write_bytes(data)
        with pytest.raises(BadInput):
            read_idx_labels(path)


# --- opening ---


def test_content_decides_and_not_the_name(tmp_path: Path) -> None:
    for kind in (*TARS, "zip"):
        path = build(tmp_path, kind).rename(tmp_path / "holiday.jpg")
        source = open_source(path)
        assert source.kind == kind.partition(".")[0]
        assert listed(source) == list(enumerate(NAMES))


@pytest.mark.parametrize("name", ["x.tar", "x.tar.gz", "x.zip", "x.tgz"])
@pytest.mark.parametrize("data", [b"", b"no archive at all", b"\x1f\x8b broken"])
def test_what_calls_itself_an_archive_and_is_none(tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(SourceError, match=name):
        open_source(path)


def test_a_file_of_zeros_is_no_archive(tmp_path: Path) -> None:
    path = tmp_path / "lost.jpg"
    path.write_bytes(bytes(10_240))
    assert open_source(path).kind == "file"
    assert listed(open_source(path.rename(tmp_path / "none.tar"))) == []


def test_opening_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No such file"):
        open_source(tmp_path / "missing.tar")


def test_expand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("s-2.tar", "s-1.tar", "odd[1].jpg"):
        Path(name).touch()
    assert expand(["s-*.tar", "odd[1].jpg"]) == [Path("s-1.tar"), Path("s-2.tar"), Path("odd[1].jpg")]
    assert expand([str(tmp_path)]) == [tmp_path]
    with pytest.raises(SourceError, match=r"no file matches 't-\*\.tar'"):
        expand(["s-*.tar", "t-*.tar"])
    with pytest.raises(SourceError, match=r"there is no 'gone\.zip'"):
        expand(["gone.zip"])
