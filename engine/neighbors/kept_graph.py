"""Graphs in the cache: their files, what is said of them, and builds that can be gone on with.

STORE/cache/graphs/TABLE/kK/ holds NAME.indices (int32) and NAME.scores (float32), one row an image, and state.json,
which names them. A build writes under another name, notes after each block how far it is, and is put in place by
replacing state.json: one that is stopped goes on where it was, and until its end the last good graph stays.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from engine.store import Space, Store
from engine.store.durable import empty, folders, fsync
from engine.store.seals import STATE, Seals, all_renewed
from engine.store.vectors import LOCK
from indexers.graph import KnnGraph

PARTS = ("indices", "scores")
BEGUN = "begun.json"


@dataclass(frozen=True)
class Built:
    """What state.json says of a graph. `k` is the number of columns; `identity` that of the vectors it was made of.

    `seals` are those of its files: one that is not as it was written makes the graph none.
    """

    name: str
    identity: str
    kind: str
    rows: int
    k: int
    seed: int
    params: dict[str, Any]
    recall: float
    sample: int
    seconds: float
    seals: Seals


def home(store: Store, space: Space) -> Path:
    """Return the folder of a space's graphs, a folder for each k in it."""
    return store.cache / "graphs" / space.table


def sizes(home: Path) -> list[int]:
    """Return the k of each folder of a graph in `home`, ascending."""
    return sorted(int(one.name[1:]) for one in folders(home) if one.name[0] == "k" and one.name[1:].isdecimal())


def folder_of(store: Store, space: Space, k: int) -> Path:
    """Return the folder of the graph of k neighbours."""
    return home(store, space) / f"k{k}"


def read(folder: Path) -> Built | None:
    """Return what state.json says, or None if it does not vouch for two whole files."""
    try:
        built = Built(**json.loads((folder / STATE).read_text()))
        seals = all_renewed(folder, built.seals)
        whole = [one["size"] for one in built.seals.values()] == [built.rows * built.k * 4] * len(PARTS)
        return replace(built, seals=seals) if whole and seals is not None else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def mapped(folder: Path, built: Built) -> KnnGraph:
    """Return the graph in memory maps of its files."""
    shape = (built.rows, built.k)
    return KnnGraph(
        np.memmap(folder / f"{built.name}.indices", np.int32, "r", shape=shape),
        np.memmap(folder / f"{built.name}.scores", np.float32, "r", shape=shape),
    )


def begun_build(folder: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """Return `name`, rows `done` and `seconds` of a build that was stopped and asked for the same, or of a new one."""
    try:
        begun = json.loads((folder / BEGUN).read_text())
        written = [(folder / f"{begun['name']}.{part}").stat().st_size for part in PARTS]
        whole = min(written) >= begun["done"] * asked["k"] * 4
        if whole and all(begun[key] == value for key, value in asked.items()):
            return {"name": begun["name"], "done": begun["done"], "seconds": begun["seconds"]}
    except (OSError, ValueError, KeyError, TypeError):
        # There is none, or what is there is torn: a new one is begun.
        pass
    state = read(folder)
    clear(folder, keep=state.name if state else "")
    return {"name": os.urandom(4).hex(), "done": 0, "seconds": 0.0}


def append(folder: Path, name: str, start: int, part: KnnGraph) -> None:
    """Write the rows from `start` on, over whatever a killed process left there, and flush them to the disk."""
    for kind, values in (("indices", part.indices), ("scores", part.scores)):
        with open(os.open(folder / f"{name}.{kind}", os.O_RDWR | os.O_CREAT), "r+b") as file:
            file.seek(start * part.k * 4)
            file.write(np.ascontiguousarray(values).tobytes())
            file.truncate()
        fsync(folder / f"{name}.{kind}")


def clear(folder: Path, *, keep: str) -> None:
    """Remove all files but those of the graph called `keep`, its state, and the lock others may wait for."""
    empty(folder, keep=(LOCK, *((f"{keep}.indices", f"{keep}.scores", STATE) if keep else ())))
