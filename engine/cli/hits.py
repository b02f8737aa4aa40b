"""How answers are printed: one, many, or where they were written to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from engine.cli.output import counted, emit, say, table

if TYPE_CHECKING:
    from engine.retrieval.batch import Written
    from engine.retrieval.search import Answer, Hit

# The share of images that an index does not hold yet from which on a search says so.
MUCH = 0.1


def show(answer: Answer, *, several: bool) -> None:
    """Print the hits as a table, with their source where there are several, and below it where they come from."""
    table(("rank", *_columns(several)), [(place, *_row(hit, several)) for place, hit in enumerate(answer.hits, 1)])
    say(
        f"{len(answer.hits)} of {counted(answer.rows, 'image')} {_place(answer)}"
        + ("" if answer.complete or answer.threshold is None else "; more qualify than -k lets through")
    )
    _notes(answer)
    newer = answer.index.get("newer", 0)
    if newer > MUCH * answer.rows:
        say(
            f"{newer} images came after the index and are compared one by one; "
            f"add them: engine index --update --space {answer.space}"
        )


def show_many(answers: Iterable[Answer], *, several: bool) -> None:
    """Print the hits of many queries as one table, with their source where there are several."""
    last: list[Answer] = []

    def rows() -> Iterable[tuple[Any, ...]]:
        for answer in answers:
            last[:] = [answer]
            yield from ((answer.query, place, *_row(hit, several)) for place, hit in enumerate(answer.hits, 1))

    table(("query", "rank", *_columns(several)), rows())
    for answer in last:
        say(_place(answer))
        _notes(answer)


def show_written(written: Written, *, json: bool) -> None:
    """Print what a file of hits holds."""
    if json:
        emit({**asdict(written), "path": str(written.path)})
        return
    hits, queries = counted(written.hits, "hit"), f"{written.queries} {'query' if written.queries == 1 else 'queries'}"
    print(f"{hits} of {queries} in {written.path}")
    say(_place(written))
    _notes(written)


def document(answer: Answer) -> dict[str, Any]:
    """Return an answer as `--json` prints it."""
    hits = [
        {
            "id": hit.id.hex(),
            "name": hit.name,
            "source": hit.source,
            "ordinal": hit.ordinal,
            "score": hit.score,
            "fpr": hit.fpr,
            "label": hit.label,
        }
        for hit in answer.hits
    ]
    return {
        "query": answer.query,
        "space": answer.space,
        "fingerprint": answer.fingerprint,
        "threshold": answer.threshold,
        "fpr": answer.fpr,
        "complete": answer.complete,
        "index": answer.index,
        "hits": hits,
        "store_version": answer.store_version,
        "notes": list(answer.notes),
    }


def _notes(answer: Answer | Written) -> None:
    for note in answer.notes:
        say(f"note: {note}")


def _columns(several: bool) -> tuple[str, ...]:
    return ("score", "fpr", *(("source",) if several else ()), "name", "label")


def _row(hit: Hit, several: bool) -> tuple[Any, ...]:
    # Rates differ by powers of ten.
    return (hit.score, f"{hit.fpr:.2g}", *((hit.source,) if several else ()), hit.name, hit.label)


def _place(answer: Answer | Written) -> str:
    recall = "" if answer.index["kind"] == "exact" else f" with recall {answer.index['recall']:.3f}"
    rate = "" if answer.fpr is None else f"; fpr {answer.fpr:g} is the threshold {answer.threshold:.6f}"
    return f"in space {answer.space} ({answer.fingerprint}), {answer.index['kind']}{recall}{rate}"
