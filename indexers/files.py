"""An index on disk: a folder with what it was made with, and what FAISS wrote."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from indexers.base import Matrix

if TYPE_CHECKING:
    import faiss

BODY, HEAD = "index.faiss", "index.json"


@dataclass(frozen=True)
class Saved:
    """What `index.json` says: kind, parameters, shape of the vectors, and the FAISS file's size and checksum.

    `size` is 0 where there is no FAISS file. The checksum covers its first `checked` bytes, all that tells FAISS where
    to look: a wrong byte there could end the process, while one in the codes behind only costs recall.
    """

    kind: str
    params: dict[str, Any]
    rows: int
    dim: int
    size: int = 0
    checked: int = 0
    checksum: int = 0


def write(path: str | PathLike[str], saved: Saved, body: faiss.Index | None = None, *, row_bytes: int = 0) -> None:
    """Write an index into the folder `path`, `index.json` last; `row_bytes` of each row come last in a FAISS file."""
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    facts = asdict(saved)
    if body is not None:
        import faiss

        faiss.write_index(body, str(folder / BODY))
        size = (folder / BODY).stat().st_size
        checked = max(0, size - saved.rows * row_bytes)
        facts |= {"size": size, "checked": checked, "checksum": checksum(folder / BODY, checked)}
    (folder / HEAD).write_text(json.dumps(facts))


def read(path: str | PathLike[str], kind: str, X: Matrix) -> Saved:
    """Return what the folder `path` says; raise `ValueError` if it is damaged or was not made of rows of `X`."""
    try:
        saved = Saved(**json.loads((Path(path) / HEAD).read_text()))
        numbers = (saved.rows, saved.dim, saved.size, saved.checked, saved.checksum)
        whole = all(type(number) is int and number >= 0 for number in numbers) and isinstance(saved.params, dict)
    except (OSError, TypeError, ValueError) as error:
        raise ValueError(f"{path} holds no index: {error}") from None
    if not whole or saved.kind != kind:
        raise ValueError(f"{path} holds no whole {kind!r} index: {saved}")
    if saved.dim and (len(X) < saved.rows or X.shape[1] != saved.dim):
        raise ValueError(f"{path} indexes vectors ({saved.rows}, {saved.dim}), not {X.shape}")
    return saved


def read_body(path: str | PathLike[str], saved: Saved, *, flags: int) -> faiss.Index:
    """Return what FAISS wrote; raise `ValueError` if it is not as it was written."""
    import faiss

    file = Path(path) / BODY
    try:
        if file.stat().st_size != saved.size or checksum(file, saved.checked) != saved.checksum:
            raise ValueError(f"{file} is damaged or cut short")
        index = faiss.read_index(str(file), flags)
    except (OSError, RuntimeError) as error:
        raise ValueError(f"{file} cannot be read: {str(error).splitlines()[0]}") from None
    if index.ntotal != saved.rows:
        raise ValueError(f"{file} holds {index.ntotal} rows, not {saved.rows}")
    return index


def checksum(file: Path, count: int) -> int:
    """Return the sum of the first `count` bytes as 64-bit words, which runs at the speed of memory."""
    if count == 0:
        return 0
    data = np.memmap(file, np.uint8, "r", shape=(count,))
    words = data[: count // 8 * 8].view(np.uint64)
    return int(np.add.reduce(words, dtype=np.uint64)) ^ int(data[len(words) * 8 :].sum(dtype=np.uint64))
