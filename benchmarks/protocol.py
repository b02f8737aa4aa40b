"""Which protocol a row was measured by: docs/protocols.md has a block for each suite, and a digest of it is kept here.

`python -m benchmarks.protocol` raises the version of every suite whose block has changed since.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import TypedDict

PAGE = Path(__file__).parents[1] / "docs" / "protocols.md"
KEPT = Path(__file__).with_name("protocols.json")
COMMON = "common"
# A suite that shares what is common says so; then that is part of its block.
BLOCK = re.compile(r"<!-- protocol: (\w+)(, common)? -->\n(.*?)<!-- /protocol -->", re.DOTALL)


class Protocol(TypedDict):
    """A suite's version, and the digest of the text that says what it means."""

    version: int
    digest: str


def protocol(suite: str) -> str:
    """Return what stands in every row of a suite: its version and the digest of its block, `1-4f2a9c03`."""
    known = kept().get(suite)
    return "none" if known is None else f"{known['version']}-{known['digest']}"


def kept() -> dict[str, Protocol]:
    """Return the protocols that rows are marked with."""
    found: dict[str, Protocol] = json.loads(KEPT.read_text())
    return found


def digests(page: str) -> dict[str, str]:
    """Return the digest of each suite's block; where lines break does not count."""
    blocks = BLOCK.findall(page)
    shared = next((text for suite, _, text in blocks if suite == COMMON), "")
    texts = {suite: (shared if common else "") + text for suite, common, text in blocks if suite != COMMON}
    return {suite: hashlib.sha256(" ".join(text.split()).encode()).hexdigest()[:8] for suite, text in texts.items()}


def raised(known: dict[str, Protocol], page: str) -> dict[str, Protocol]:
    """Return the protocols as the page has them: a block that changed has the next version."""
    return {suite: _next(known.get(suite), digest) for suite, digest in digests(page).items()}


def _next(known: Protocol | None, digest: str) -> Protocol:
    if known is not None and known["digest"] == digest:
        return known
    return Protocol(version=known["version"] + 1 if known else 1, digest=digest)


if __name__ == "__main__":
    KEPT.write_text(json.dumps(raised(kept() if KEPT.exists() else {}, PAGE.read_text()), indent=2) + "\n")
