"""Number the files of an archive or folder, and give each image the text files that lie beside it.

Whether `a.txt` is an image's sidecar or a file of its own is known only when its neighbours have passed. So files are
looked at in groups: consecutive ones of the same key, as in WebDataset. A group with an image takes its text files in;
a group without one counts every file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from engine.errors import SourceCut
from engine.sources.base import Member
from engine.sources.names import IMAGE_EXTENSIONS, SIDECAR_EXTENSIONS, key, leaves_archive, printable, suffix

MAX_MEMBER_BYTES = 1 << 30
MAX_SIDECAR_BYTES = 1 << 20
# A group ends early at these sizes, so that `2024.jpg` beside `2024.1.jpg` ... `2024.99999.jpg` needs no more memory.
GROUP_FILES = 64
GROUP_BYTES = 64 << 20

Wanted = Callable[[int], bool]
Fetch = Callable[[], tuple[bytes, int | None]]


class Unreadable(Exception):
    """One file cannot be read, for the reason given; the others can."""


class Cut(Exception):
    """Nothing can be read from here on, for the reason given."""


@dataclass(slots=True)
class Entry:
    """A file as its source lists it.

    `fetch` returns its bytes and where they lie in the source file (None: nowhere in one piece); it raises
    `Unreadable` or, in a stream, `Cut`. `regular` is False for links and devices. An entry of a stream has a `skip`:
    it must be fetched or skipped before the next one is listed, and `skip` raises `Cut` if its bytes are not all there.
    """

    name: str
    size: int
    fetch: Fetch
    problem: str | None = None
    regular: bool = True
    skip: Callable[[], None] | None = None
    held: tuple[bytes, int | None] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.problem is None and leaves_archive(self.name):
            self.problem = "name leaves the archive"
        if self.problem is None and self.size > MAX_MEMBER_BYTES:
            self.problem = f"{self.size} bytes, over the limit of {MAX_MEMBER_BYTES} for one file"
        self.name = printable(self.name)

    @property
    def is_image(self) -> bool:
        return self.regular and suffix(self.name) in IMAGE_EXTENSIONS

    @property
    def may_be_sidecar(self) -> bool:
        return self.regular and suffix(self.name) in SIDECAR_EXTENSIONS

    def read(self) -> tuple[bytes, int | None]:
        if self.problem is not None:
            raise Unreadable(self.problem)
        return self.held or self.fetch()


@dataclass(frozen=True, slots=True)
class Numbered:
    """An entry with its ordinal and the sidecars of its group."""

    ordinal: int
    entry: Entry
    sidecars: list[Entry]


def names(path: str, entries: Iterable[Entry]) -> Iterator[tuple[int, str]]:
    """Yield (ordinal, name) of every member; raise `SourceCut` as `members` does."""
    for item in _number(path, entries, lambda ordinal: False):
        yield item.ordinal, item.entry.name


def members(path: str, entries: Iterable[Entry], wanted: Wanted) -> Iterator[Member]:
    """Yield the wanted members with bytes and sidecars; raise `SourceCut` after the last good one."""
    for item in _number(path, entries, wanted):
        if wanted(item.ordinal):
            yield _member(item)


def _member(item: Numbered) -> Member:
    entry = item.entry
    try:
        data, offset = entry.read()
    except Unreadable as error:
        return Member(item.ordinal, entry.name, None, problem=str(error), size=entry.size)
    sidecar = _texts(item.sidecars) if entry.is_image else {}
    return Member(item.ordinal, entry.name, data, offset=offset, size=len(data), sidecar=sidecar)


def _texts(sidecars: list[Entry]) -> dict[str, str]:
    texts = {}
    for entry in sidecars:
        if entry.size > MAX_SIDECAR_BYTES:
            continue
        try:
            texts[key(entry.name)[1]] = entry.read()[0].decode("utf-8-sig")
        except (Unreadable, UnicodeDecodeError):
            continue  # a text that cannot be read must not cost the image
    return texts


def _number(path: str, entries: Iterable[Entry], wanted: Wanted) -> Iterator[Numbered]:
    ordinal = links = 0
    last = None

    def worth(entry: Entry, group: list[Entry]) -> bool:
        return _may_be_wanted(entry, group, ordinal, wanted)

    try:
        for group in _groups(entries, worth):
            has_image = any(entry.is_image for entry in group)
            sidecars = [entry for entry in group if has_image and entry.may_be_sidecar]
            for entry in group:
                if has_image and entry.may_be_sidecar:
                    continue
                last = entry.name
                if entry.regular:
                    yield Numbered(ordinal, entry, sidecars)
                    ordinal += 1
                else:
                    links += 1
                    yield Numbered(-links, entry, [])
    except Cut as cut:
        where = f"after {last!r}; the {ordinal} members before are good" if last else "before its first member"
        remedy = "fetch the file again and repeat the command; nothing is stored twice"
        raise SourceCut(f"{path} is cut off or damaged ({cut}) {where}", remedy) from cut


def _groups(entries: Iterable[Entry], worth: Callable[[Entry, list[Entry]], bool]) -> Iterator[list[Entry]]:
    """Yield consecutive entries of one key, those of a stream with bytes if `worth` it; raise `Cut` last."""
    group: list[Entry] = []
    size = 0
    try:
        for entry in entries:
            if group and (key(entry.name)[0] != key(group[0].name)[0] or _is_full(group, size, entry)):
                yield group
                group, size = [], 0
            if entry.skip is not None:
                if entry.problem is None and worth(entry, group):
                    entry.held = entry.fetch()
                else:
                    entry.skip()
            group.append(entry)
            size += entry.size
    except Cut:
        if group:
            yield group
        raise
    if group:
        yield group


def _is_full(group: list[Entry], size: int, entry: Entry) -> bool:
    return len(group) >= GROUP_FILES or (size >= GROUP_BYTES and not entry.may_be_sidecar)


def _may_be_wanted(entry: Entry, group: list[Entry], ordinal: int, wanted: Wanted) -> bool:
    """Tell whether an entry of a stream, which follows `group`, must be read; the group begins at `ordinal`."""
    if entry.may_be_sidecar and entry.size <= MAX_SIDECAR_BYTES:
        return True
    undecided = sum(other.may_be_sidecar for other in group)
    lowest = ordinal + sum(other.regular for other in group) - undecided
    return any(wanted(n) for n in range(lowest, lowest + undecided + 1))
