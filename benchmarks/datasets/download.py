"""Files of the data sets' own sites: fetched when asked for, resumed, checked by digest, put in place whole."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from benchmarks.datasets.base import Place, Unavailable
from engine.errors import BadInput
from engine.progress import Progress

TIMEOUT = 30
BLOCK = 1 << 20
NOTHING_LEFT = 416  # Range Not Satisfiable: the part is as long as the file
PARTIAL = 206


@dataclass(frozen=True)
class Remote:
    """A file of a data set: where it is, and the digest that its publisher names, `md5:…` or `sha256:…`."""

    url: str
    digest: str

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]


def local(remote: Remote, folder: Path, place: Place) -> Path:
    """Return the file where it lies in `folder`, downloaded if `place` allows; raise `Unavailable`."""
    path = folder / remote.name
    if path.is_file():
        return path
    if not place.download:
        raise Unavailable(f"{path} is not there", f"fetch {remote.url} with --download, or put it there")
    return fetch(remote, path, place.progress)


def fetch(remote: Remote, path: Path, progress: Progress) -> Path:
    """Download to `path`, going on where an earlier attempt stopped.

    Raises `Unavailable` where that fails and `BadInput` for other bytes than the digest says. What has arrived lies in
    NAME.part until it is whole and its digest is right.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    progress.note(f"downloading {remote.url}")
    try:
        _receive(remote.url, part)
    except (URLError, HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise Unavailable(
            f"{remote.url} cannot be downloaded: {reason}", "the same command goes on where it stopped"
        ) from error
    found = digest(part, remote.digest.partition(":")[0])
    if found != remote.digest:
        part.unlink()
        raise BadInput(f"{remote.url} has {found}, not {remote.digest}", "the file changed or was damaged: try again")
    os.replace(part, path)
    return path


def _receive(url: str, part: Path) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urlopen(request, timeout=TIMEOUT) as response:
            # A server that knows no ranges sends the file from its start.
            with part.open("ab" if response.status == PARTIAL else "wb") as file:
                while block := response.read(BLOCK):
                    file.write(block)
            announced = response.headers.get("Content-Length")
            done = part.stat().st_size - (have if response.status == PARTIAL else 0)
            if announced is not None and done < int(announced):
                raise URLError(f"{done} of {announced} bytes arrived")
    except HTTPError as error:
        if error.code != NOTHING_LEFT:
            raise


def digest(path: Path, kind: str) -> str:
    """Return `KIND:HEX` of a file."""
    with path.open("rb") as file:
        return f"{kind}:{hashlib.file_digest(file, kind).hexdigest()}"
