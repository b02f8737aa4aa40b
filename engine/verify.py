"""Verify: prove that nothing is lost and nothing is twice."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from engine import decode, encoders
from engine.encoders.base import decoding_side, prepared
from engine.errors import BadInput, EmptySpace, EngineError, StoreDamaged
from engine.ingestion.embed import pixels_of, places
from engine.neighbors.graph import drop as drop_graphs
from engine.progress import Progress, Silent
from engine.remove import unfinished
from engine.select import connect
from engine.store import Space, Store, durable
from engine.store.seals import broken
from engine.store.table import first_line, literal
from engine.store.vectors import drop, id_array, matrix, sort_key, unit
from engine.training import models

# A float32 unit vector of a few thousand dimensions is this close to length 1.
LENGTH_TOLERANCE = 1e-4
SHOWN = 5
UNHELD = "the store cannot be written here: it was counted as it lies, whatever another machine may be writing to it"

# Each query counts rows that must not exist.
LAWS = {
    "members have neither an image nor a reason of rejection, or both": (
        "SELECT count(*) FROM members WHERE (image IS NULL) = (rejected IS NULL)"
    ),
    "members are in the ledger twice": "SELECT count(*) - count(DISTINCT (source, ordinal)) FROM members",
    "members belong to no source": "SELECT count(*) FROM members ANTI JOIN sources ON sources.digest = members.source",
    "members name an image that is not stored": (
        "SELECT count(*) FROM members ANTI JOIN images ON images.id = members.image "
        "WHERE members.image IS NOT NULL AND removed IS NULL"
    ),
    "images belong to no member": (
        "SELECT count(*) FROM images ANTI JOIN (SELECT image FROM members WHERE removed IS NULL) AS alive "
        "ON alive.image = images.id"
    ),
    "images are stored twice": "SELECT count(*) - count(DISTINCT id) FROM images",
    "images have no thumbnail": "SELECT count(*) FROM images ANTI JOIN thumbnails USING (id)",
    "thumbnails are stored twice": "SELECT count(*) - count(DISTINCT id) FROM thumbnails",
    "thumbnails belong to no image": "SELECT count(*) FROM thumbnails ANTI JOIN images USING (id)",
    "labels belong to no image": "SELECT count(*) FROM labels ANTI JOIN images USING (id)",
    "points of maps belong to no image": "SELECT count(*) FROM maps ANTI JOIN images USING (id)",
    "points of maps belong to no run": "SELECT count(*) FROM maps ANTI JOIN runs USING (run)",
    "points of maps are stored twice": "SELECT count(*) - count(DISTINCT (run, id)) FROM maps",
    "points of maps are not finite": "SELECT count(*) FROM maps WHERE NOT coalesce(isfinite(x) AND isfinite(y), false)",
}
SPACE_LAWS = {
    "vectors are stored twice": "SELECT count(*) - count(DISTINCT id) FROM vectors",
    "vectors belong to no image": "SELECT count(*) FROM vectors ANTI JOIN images USING (id)",
}
MISSING = """
    SELECT count(DISTINCT image) FROM members ANTI JOIN vectors ON vectors.id = members.image
    WHERE image IS NOT NULL AND removed IS NULL AND run IN (SELECT unnest(?::VARCHAR[]))
"""
# A source that changed before it was ingested to its end has been ingested since as what it is now.
UNFINISHED = """
    SELECT path FROM sources WHERE NOT complete AND path NOT IN (SELECT path FROM sources WHERE complete)
"""
GAPS = """
    SELECT path, count(ordinal) AS found, sources.members AS expected
    FROM sources LEFT JOIN members ON source = digest WHERE complete
    GROUP BY digest, path, sources.members HAVING found <> expected
"""


@dataclass
class Verdict:
    """`members` = members of images + `rejected` + `removed`; `problems` says what breaks the contract."""

    members: int = 0
    images: int = 0
    rejected: int = 0
    removed: int = 0
    spaces: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems

    @property
    def duplicates(self) -> int:
        return self.members - self.rejected - self.removed - self.images


def verify(store: Store, *, read_bytes: bool = False, progress: Progress | None = None) -> Verdict:
    """Check every promise of the store; with `read_bytes` also that every source still holds the bytes it held.

    Raises `StoreBusy` while others write: what they have begun would look broken.
    """
    import duckdb

    verdict = Verdict()
    try:
        with store.counted() as held:
            if not held:
                verdict.notes.append(UNHELD)
            _ledger(store, verdict)
            for space in store.spaces().values():
                if not space.virtual:
                    _space(store, space, verdict)
            verdict.problems += [
                f"{state.parent.relative_to(store.path)} is not as it was written; run: engine verify --repair"
                for state in broken(store.cache)
            ]
    except StoreDamaged as error:
        verdict.problems.append(str(error))
        return verdict
    except (OSError, pa.ArrowException, duckdb.Error) as error:
        # A data file is gone or cut; only its table's own error says which.
        verdict.problems.append(f"the tables cannot be read: {first_line(error)}")
        return verdict
    if read_bytes:
        verdict.problems += list(_bytes(store, progress or Silent()))
    return verdict


def _ledger(store: Store, verdict: Verdict) -> None:
    database = connect(store)

    def count(sql: str) -> int:
        return database.execute(sql).fetchall()[0][0]

    verdict.members = count("SELECT count(*) FROM members")
    verdict.images = count("SELECT count(*) FROM images")
    verdict.rejected = count("SELECT count(*) FROM members WHERE rejected IS NOT NULL AND removed IS NULL")
    verdict.removed = count("SELECT count(*) FROM members WHERE removed IS NOT NULL")
    for what, sql in LAWS.items():
        if number := count(sql):
            verdict.problems.append(f"{number} {what}")
    for (path,) in database.execute(UNFINISHED).fetchall():
        verdict.problems.append(f"{path} is not ingested to its end; run: engine ingest {path}")
    for path, found, expected in database.execute(GAPS).fetchall():
        verdict.problems.append(f"{path}: {found} members are in the ledger, {expected} were seen")
    for run, asked in unfinished(store).items():
        what = shlex.join([*asked["names"], *_option("where", asked), *_option("run", asked)])
        verdict.problems.append(f"removal {run} was stopped before its end; run: engine remove {what}")
    for row in store.sources.rows(["path", "cut"], "cut IS NOT NULL"):
        verdict.notes.append(f"{row['path']} was cut off: {row['cut']}")


def _option(name: str, asked: dict[str, Any]) -> list[str]:
    return [f"--{name}", asked[name]] if asked.get(name) else []


def _space(store: Store, space: Space, verdict: Verdict) -> None:
    database = connect(store)
    database.execute(f'CREATE VIEW vectors AS SELECT id FROM "{space.table}"')

    def count(sql: str, *given: object) -> int:
        return database.execute(sql, given).fetchall()[0][0]

    verdict.spaces[space.name] = count("SELECT count(*) FROM vectors")
    counts = {what: count(sql) for what, sql in SPACE_LAWS.items()}
    counts["vectors are not finite or not of unit length"] = _not_unit(store, space)
    counts["vectors are missing"] = count(MISSING, runs_that_filled(store, space))
    verdict.problems += [f"space {space.name!r}: {number} {what}" for what, number in counts.items() if number]
    model = space.encoder.partition(":")[2]
    if space.encoder.startswith("autoencoder:") and not models.is_whole(store, model):
        verdict.problems.append(
            f"space {space.name!r}: its model {model} is missing in {store.models} or not as it was written; "
            f"run: {models.again(store, space)}"
        )
    without = count("SELECT count(*) FROM images ANTI JOIN vectors USING (id)")
    if without and space.encoder not in ("user", "fused"):
        verdict.notes.append(
            f"space {space.name!r} covers {verdict.images - without} of {verdict.images} images; {space.remedy}"
        )


def _not_unit(store: Store, space: Space) -> int:
    bad = 0
    for batch in store.vectors_table(space).scan(["vector"]):
        lengths = np.linalg.norm(matrix(batch["vector"], space.dim), axis=1)
        # A comparison with NaN is false, so this counts what is not finite as well.
        bad += len(lengths) - int(np.count_nonzero(np.abs(lengths - 1) < LENGTH_TOLERANCE))
    return bad


def runs_that_filled(store: Store, space: Space) -> list[str]:
    """Return the ingests that filled `space`: each image that one of them brought must have a vector."""
    return [
        row["run"]
        for row in store.runs.rows(["run", "details"], "event = 'start' AND command = 'ingest'")
        if space.name in json.loads(row["details"]).get("spaces", ())
    ]


def _bytes(store: Store, progress: Progress) -> Iterator[str]:
    """Yield what is wrong with the sources: gone, changed, or a member that no longer gives its image's digest."""
    for source in store.current_sources().values():
        where = f"source = {literal(source['digest'])} AND image IS NOT NULL AND removed IS NULL"
        rows = store.members.read(["ordinal", "image"], where).sort_by("ordinal")
        ordinals, images = rows["ordinal"].to_numpy(), sort_key(id_array(rows["image"]))
        progress.begin(f"read {Path(source['path']).name}", len(ordinals))
        seen, wrong = 0, []
        try:
            for _, member in pixels_of(store, {source["digest"]: ordinals}):
                progress.advance(1)
                seen += 1
                digest = hashlib.sha256(member.data or b"").digest()
                if images[np.searchsorted(ordinals, member.ordinal)].ljust(32, b"\0") != digest:
                    wrong.append(member.name)
        except (EngineError, OSError) as error:
            yield str(error)
            continue
        if wrong:
            shown = ", ".join(wrong[:SHOWN])
            yield f"{source['path']}: {len(wrong)} members have other bytes than those stored: {shown}"
        if seen != len(ordinals):
            yield f"{source['path']}: {len(ordinals) - seen} of {len(ordinals)} members are no longer there"


def repair(store: Store) -> list[str]:
    """Remove the manifests that a power loss left empty, and what others changed in the cache; return what was done."""
    done = []
    with store.lock(alone=True):
        for path in sorted(store.path.glob("*.lance")):
            for manifest in durable.repair(path):
                done.append(f"table {path.stem!r}: removed the empty manifest {manifest.name}")
        if done:
            # They may come from a version that is gone, whose number the next write takes.
            drop(store.cache / "vectors")
            drop_graphs(store)
        for state in broken(store.cache):
            # What nothing vouches for is made anew when it is needed; an index is not: it has to be asked for.
            state.unlink()
            done.append(f"{state.parent.relative_to(store.path)} was not as it was written: it counts no more")
    return done


@dataclass(frozen=True)
class Drift:
    """How close stored vectors come to the same images encoded again now."""

    space: str
    images: int
    lowest: float
    required: float
    precision: str | None

    @property
    def ok(self) -> bool:
        return self.lowest >= self.required


def drift(store: Store, images: int, *, space: str | None = None, precision: str = "auto", seed: int = 0) -> Drift:
    """Encode a random sample of stored images again and compare.

    Cosine 0.9999 is required at the precision that all runs of the space recorded, 0.99 across precisions. Raises
    `EmptySpace` if there is nothing to compare, `SourceError` for a source that is gone.
    """
    chosen = store.space(space)
    if chosen.encoder in ("user", "fused"):
        raise BadInput(f"space {chosen.name!r} has no encoder of its own to run again", "--drift N --space NAME")
    encoder = encoders.load(
        chosen.encoder, space=chosen.name, cache=store.cache, fingerprint=chosen.fingerprint, precision=precision,
        **chosen.recipe,
    )  # fmt: skip
    vectors = store.vectors(chosen)
    picked = np.sort(np.random.default_rng(seed).permutation(len(vectors))[:images])
    wanted = {vectors.ids[place].tobytes(): place for place in picked}
    keys = sort_key(vectors.ids[picked])
    cosines = []
    for _, member in pixels_of(store, places(store, lambda images: np.isin(images, keys))):
        raw = member.data or b""
        place = wanted.get(hashlib.sha256(raw).digest())
        if place is None:
            # The source changed, which `--bytes` is for.
            continue
        side = decoding_side([encoder.geometry])
        picture = decode.decode(raw, shape=member.shape, max_pixels=2**62, draft_side=side)
        row = encoder.encode([prepared(encoder.geometry, picture.image)])
        cosines.append(float(unit(row, chosen.name)[0].astype(np.float64) @ vectors.matrix[place].astype(np.float64)))
    if not cosines:
        raise EmptySpace(
            f"none of {len(wanted)} images of space {chosen.name!r} is in its source as it was", "engine verify --bytes"
        )
    used = encoder.provenance.get("precision")
    required = 0.9999 if used == store.precision(chosen) else 0.99
    return Drift(chosen.name, len(cosines), min(cosines), required, used)
