"""Exemplars: stored images that somebody pointed out as a class, or as what a class is not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadInput, EmptySpace, NoSuchImage
from engine.ingestion.class_names import checked_name
from engine.labeling.labels import append, statements
from engine.labeling.spelling import check_spelling
from engine.store import Space, Store, VectorCache
from engine.store.many_names import resolve_all
from engine.store.names import resolve
from engine.store.vectors import id_array
from labelers import Exemplars

if TYPE_CHECKING:
    import pyarrow as pa

EXEMPLAR = "exemplar"
# Names that are looked up one by one; one join over the whole ledger finds more of them sooner.
MANY = 32
# Who is asked where nobody pointed out an exemplar, and who votes.
OTHERWISE, VOTERS = ("human", "given"), ("human", EXEMPLAR, "given")

# Of an image's labels those of the first source count; a person's "is not" takes one away, a tie all.
POSITIVE = """
    SELECT id, any_value(label) AS label FROM (
        SELECT id, label, rank() OVER (PARTITION BY id ORDER BY list_position(['human', 'exemplar', 'given'], source))
            AS place
        FROM said WHERE polarity AND NOT EXISTS (
            SELECT 1 FROM said AS veto
            WHERE veto.id = said.id AND veto.label = said.label AND NOT veto.polarity AND veto.source = 'human'
        )
    ) WHERE place = 1 GROUP BY id HAVING count(DISTINCT label) = 1
"""
POINTED = f"SELECT id, label FROM said WHERE polarity AND source = 'exemplar' INTERSECT ({POSITIVE})"
NEGATIVE = "SELECT DISTINCT id, label FROM said WHERE NOT polarity"
# An exemplar that a person confirms is one all the same.
COUNTED = """
    SELECT source, count(DISTINCT id) FROM said
    WHERE polarity AND (source = 'exemplar' OR id NOT IN (SELECT id FROM said WHERE source = 'exemplar' AND polarity))
    GROUP BY source ORDER BY source
"""
NEGATIVE_POINTED = f"{NEGATIVE} AND source = 'exemplar'"


@dataclass(frozen=True)
class Statement:
    """One thing that is said: the image called `name`, with this id, is of class `label`, or is not."""

    label: str
    name: str
    id: bytes
    polarity: bool


@dataclass(frozen=True)
class Known:
    """What labelers start from: `ids` uint8 (m, 32), of classes `codes` int32 (m,), or not where `polarity` is False.

    `sources` says who was asked; `unused` counts exemplars that a person contradicts, and images that two sources of
    the same rank label differently. `counts` are images by whose word they are, also of sources that were not asked.
    """

    classes: tuple[str, ...]
    ids: NDArray[np.uint8]
    codes: NDArray[np.int32]
    polarity: NDArray[np.bool_]
    sources: tuple[str, ...]
    unused: int
    counts: dict[str, int]

    def by_class(self, *, polarity: bool = True) -> dict[str, list[str]]:
        """Return the ids of each class as hex."""
        wanted = [self.ids[(self.codes == code) & (self.polarity == polarity)] for code in range(len(self.classes))]
        return {name: [one.tobytes().hex() for one in ids] for name, ids in zip(self.classes, wanted, strict=True)}


def checked(
    store: Store, positives: Iterable[tuple[str, str]], negatives: Iterable[tuple[str, str]]
) -> list[Statement]:
    """Return what is said by (class, image name) pairs, each statement once.

    Raises `BadInput` for a class without a name or in two spellings, for an image in two classes, or in a class that it
    is said not to be in, also together with what is remembered; `NoSuchImage`, `AmbiguousName`.
    """
    pairs = [(*pair, True) for pair in positives] + [(*pair, False) for pair in negatives]
    remedy = "name it: --exemplar CLASS=IMAGE"
    labels = [checked_name(label, what=f"the class of {name!r}", remedy=remedy) for label, name, _ in pairs]
    check_spelling(store, labels)
    ids = _stored(store, [name for _, name, _ in pairs])
    said = [
        Statement(label, name, ids[name], polarity) for label, (_, name, polarity) in zip(labels, pairs, strict=True)
    ]
    before = remembered(store)
    unique: dict[tuple[bytes, str, bool], Statement] = {}
    for one in (*before, *said):
        unique.setdefault((one.id, one.label, one.polarity), one)
    _require_no_contradiction(unique.values())
    return said


def remembered(store: Store) -> list[Statement]:
    """Return the exemplars of earlier runs."""
    rows = statements(store, [EXEMPLAR]).to_pylist()
    return [Statement(row["label"], f"id:{row['id'].hex()[:16]}", row["id"], row["polarity"]) for row in rows]


def remember(store: Store, said: Sequence[Statement]) -> str | None:
    """Write what is new in a run of its own, which outlives those of labelers; return its name."""
    before = {(one.id, one.label, one.polarity) for one in remembered(store)}
    new = {(one.id, one.label, one.polarity): one for one in said}
    fresh = [one for key, one in new.items() if key not in before]
    if not fresh:
        return None
    asked = {"exemplars": [(one.label, one.name) for one in fresh if one.polarity]}
    asked["not"] = [(one.label, one.name) for one in fresh if not one.polarity]
    with store.run(EXEMPLAR, asked) as run:
        for polarity in (True, False):
            some = [one for one in fresh if one.polarity == polarity]
            labels = [one.label for one in some]
            append(store, run.name, ids=_ids(some), labels=labels, source=EXEMPLAR, polarity=polarity)
        run.result.update(exemplars=len(asked["exemplars"]), negatives=len(asked["not"]))
    return run.name


def known(store: Store, said: Sequence[Statement], *, everybody: bool) -> Known:
    """Return what labels are made from: exemplars, remembered and new; without them what people and the data say.

    `everybody`: all three, as precedence has it. Truth is never read. Raises `BadInput` where there is nothing, or
    where a class has only negative exemplars.
    """
    import duckdb

    rows = _with(statements(store, VOTERS), statements(store, [EXEMPLAR]), said)
    with duckdb.connect() as database:
        database.register("said", rows)
        pointed = bool(database.sql("SELECT 1 FROM said WHERE source = 'exemplar' AND polarity LIMIT 1").fetchall())
        sources = VOTERS if everybody else (EXEMPLAR,) if pointed else OTHERWISE
        positive = database.sql(POSITIVE if everybody or not pointed else POINTED).order("label, id").to_arrow_table()
        negatives = database.sql(NEGATIVE if everybody or not pointed else NEGATIVE_POINTED).order("label, id")
        told = database.execute(
            f"SELECT count(DISTINCT id) FROM said WHERE polarity AND source IN {(*sources, '')!r}"
        ).fetchall()[0][0]
        counts = dict(database.sql(COUNTED).fetchall())
        found = _known(positive, negatives.to_arrow_table(), sources, told - positive.num_rows, counts)
    if len(found.classes) == 0:
        raise BadInput("no image is known to be of a class, to find others like it", "name one: --exemplar CLASS=IMAGE")
    lone = {one.label for one in said if not one.polarity} - set(found.classes)
    if lone:
        raise BadInput(
            f"{min(lone)!r} has exemplars of what it is not and none of what it is",
            f"--exemplar {min(lone)}=IMAGE",
        )
    return found


def vectors_of(found: Known, space: Space, vectors: VectorCache) -> tuple[Exemplars, int]:
    """Return the exemplars with their vectors (m, dim) in a space, and how many have none there.

    Raises `EmptySpace` for an exemplar without a vector, if somebody pointed it out, and for a class without any.
    """
    places = vectors.positions(found.ids)
    there = places >= 0
    left = set(found.codes[there & found.polarity].tolist())
    lost = [code for code in range(len(found.classes)) if code not in left]
    missing = int(np.count_nonzero(~there))
    if lost or (missing and found.sources == (EXEMPLAR,)):
        first = found.ids[np.flatnonzero(~there)[0]].tobytes().hex()[:16]
        name = found.classes[found.codes[np.flatnonzero(~there)[0]]]
        raise EmptySpace(f"the exemplar id:{first} of {name!r} has no vector in space {space.name!r}", space.remedy)
    matrix = np.asarray(vectors.matrix[places[there]], np.float32)
    return Exemplars(found.classes, matrix, found.codes[there], found.polarity[there]), missing


def _stored(store: Store, names: Sequence[str]) -> dict[str, bytes]:
    """Return the image that each name stands for."""
    different = list(dict.fromkeys(names))
    if len(different) > MANY:
        import pyarrow as pa

        return dict(
            zip(different, resolve_all(store, pa.array(different), place="--exemplar").to_pylist(), strict=True)
        )
    return {name: _one(store, name) for name in different}


def _one(store: Store, name: str) -> bytes:
    try:
        return resolve(store, name)
    except NoSuchImage as missing:
        if Path(name).is_file():
            raise NoSuchImage(
                f"{missing.message}; an exemplar is a stored image, and {name!r} is a file",
                f"take it in first: engine ingest {name}",
            ) from None
        raise


def _require_no_contradiction(said: Iterable[Statement]) -> None:
    positive: dict[bytes, Statement] = {}
    negative: dict[tuple[bytes, str], Statement] = {}
    for one in said:
        first = positive.setdefault(one.id, one) if one.polarity else negative.setdefault((one.id, one.label), one)
        if first.label != one.label:
            raise BadInput(
                f"{first.name!r} ({first.label}) and {one.name!r} ({one.label}) are the same image",
                "an image is of one class: leave one out, or take the older back: engine labels unset IMAGE",
            )
    for one in positive.values():
        if other := negative.get((one.id, one.label)):
            raise BadInput(
                f"{one.name!r} is said to be {one.label!r}, and {other.name!r}, the same image, not to be",
                "leave one out, or take the older back: engine labels unset IMAGE",
            )


def _with(rows: pa.Table, pointed: pa.Table, said: Sequence[Statement]) -> pa.Table:
    """Return what is said: what counts of each image, exemplars whatever else is said of them, and what is new."""
    import pyarrow as pa

    new = [
        {"id": one.id, "label": one.label, "polarity": one.polarity, "source": EXEMPLAR, "run": None} for one in said
    ]
    columns = ["id", "label", "polarity", "source", "run"]
    rows = rows.select(columns)
    return pa.concat_tables([rows, pointed.select(columns), pa.Table.from_pylist(new, rows.schema)])


def _known(
    positive: pa.Table, negative: pa.Table, sources: tuple[str, ...], unused: int, counts: dict[str, int]
) -> Known:
    import pyarrow.compute as pc

    classes = pc.unique(positive["label"]).to_pylist()
    values = positive["label"].combine_chunks().slice(0, 0) if not classes else pc.unique(positive["label"])
    # Of a class without a positive exemplar nothing can be found, so what it is not is of no use.
    negative = negative.filter(pc.is_in(negative["label"], value_set=values))
    codes = [pc.index_in(part["label"], value_set=values).to_numpy().astype(np.int32) for part in (positive, negative)]
    return Known(
        tuple(classes),
        np.concatenate([id_array(positive["id"]), id_array(negative["id"])]),
        np.concatenate(codes),
        np.arange(len(positive) + len(negative)) < len(positive),
        sources,
        unused,
        counts,
    )


def _ids(said: Sequence[Statement]) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(one.id for one in said), np.uint8).reshape(-1, 32)
