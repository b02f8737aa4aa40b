"""What a person says of images: set, take back, bring in a file of it. Each is a run that can be reverted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from engine.compact import compact_if_piled_up
from engine.ingestion.class_names import checked_name
from engine.labeling.label_file import read_label_file, scored_lines
from engine.labeling.labels import Said, append, said_of
from engine.labeling.spelling import check_spelling
from engine.select import labels_of
from engine.store import Store
from engine.store.names import resolve
from engine.store.vectors import id_array


@dataclass(frozen=True)
class Edited:
    """What became of one image: `label` is the one that counts now; `run` is None if there was nothing to write.

    `taken` is what was taken back; `left` is as what the image is an exemplar still.
    """

    run: str | None
    id: bytes
    label: str | None
    taken: tuple[Said, ...] = ()
    left: tuple[Said, ...] = ()


def set_label(store: Store, name: str, label: str, *, polarity: bool = True) -> Edited:
    """Record that an image is of a class, which replaces what was set before, or with `polarity` False that it is not.

    Raises `NoSuchImage`, `AmbiguousName`, and `BadInput` for a class that is known in another spelling.
    """
    label = checked_name(label, what="the class", remedy="write it: engine labels set IMAGE CLASS")
    check_spelling(store, [label])
    resolve(store, name)
    return _edit(store, "labels set", name, label, polarity)


def unset_label(store: Store, name: str, label: str | None = None) -> Edited:
    """Take back what was set of an image, all of it or what concerns one class; where nothing was, its exemplars.

    What else is known of it counts again, also that it is an exemplar. Raises `NoSuchImage`, `AmbiguousName`.
    """
    image = resolve(store, name)
    said = said_of(store, image)
    wanted = [one for one in said if label in (None, one.label)]
    source = "human" if any(one.source == "human" for one in wanted) else "exemplar"
    taken = tuple(one for one in wanted if one.source == source)
    left = tuple(one for one in said if one.source == "exemplar" and one not in taken)
    if not taken:
        return Edited(None, image, labels_of(store, [image]).get(image), (), left)
    done = _edit(store, "labels unset", name, label, None, source=source)
    return replace(done, taken=taken, left=left)


def _edit(
    store: Store, command: str, name: str, label: str | None, polarity: bool | None, *, source: str = "human"
) -> Edited:
    with store.lock(), store.run(command, {"image": name, "label": label, "polarity": polarity}) as run:
        # Under the lock: no removal goes between.
        image = resolve(store, name)
        ids = np.frombuffer(image, np.uint8)[None]
        rows = append(store, run.name, ids=ids, labels=[label], source=source, polarity=polarity)
        run.result["rows"] = rows
    compact_if_piled_up(store)
    return Edited(run.name, image, labels_of(store, [image]).get(image))


@dataclass(frozen=True)
class Imported:
    """What a file brought: images by class, and how many lines have a score: a run gave it, and no person."""

    run: str
    classes: dict[str, int]
    scored: int

    @property
    def labels(self) -> int:
        return sum(self.classes.values())


def import_labels(store: Store, path: Path) -> Imported:
    """Record the labels of a CSV file (image,label) as a person's; each replaces what was set before.

    Raises `BadInput` before anything is written: for a name that is no image or several, an image with two labels, a
    class in two spellings.
    """
    check_spelling(store, pc.unique(read_label_file(store, path)["label"]).to_pylist())
    with store.lock(), store.run("labels import", {"path": str(path)}) as run:
        # Under the lock: no removal goes between.
        rows = read_label_file(store, path)
        append(store, run.name, ids=id_array(rows["id"]), labels=rows["label"], source="human")
        counts = rows["label"].value_counts().to_pylist()
        classes = {one["values"]: one["counts"] for one in sorted(counts, key=lambda one: one["values"])}
        run.result.update(labels=len(rows), classes=classes)
    compact_if_piled_up(store)
    return Imported(run.name, classes, scored_lines(path))
