"""The Python API of labels: `engine.open(PATH).labels`. It says what `engine labels` says."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.store import Store
from engine.store.names import spelled

if TYPE_CHECKING:
    from engine.labeling.label_edit import Edited, Imported
    from engine.labeling.label_export import LabelsExported
    from engine.labeling.label_runs import Decided


class CollectionLabels:
    """The labels of a collection: counted, set, compared, accepted and exported.

    Images go by name or id. All raise a subclass of `engine.errors.EngineError`, and then nothing is written.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    def counts(self) -> dict[str, Any]:
        """Return images by class, whose word they are, conflicts and runs: the keys of `engine labels --json`."""
        from engine.labeling.label_counts import label_counts

        return label_counts(self.store)

    def set(self, image: str | bytes, label: str, *, negative: bool = False) -> Edited:
        """Say that an image is of a class, or with `negative` that it is not; replaces what was said before."""
        from engine.labeling.label_edit import set_label

        return set_label(self.store, spelled(image), label, polarity=not negative)

    def unset(self, image: str | bytes, label: str | None = None) -> Edited:
        """Take back what was set of an image, all or what concerns one class; where nothing was, its exemplars."""
        from engine.labeling.label_edit import unset_label

        return unset_label(self.store, spelled(image), label)

    def import_file(self, path: str | PathLike[str]) -> Imported:
        """Say what many images are: a CSV file with the columns image and label."""
        from engine.labeling.label_edit import import_labels

        return import_labels(self.store, Path(path))

    def diff(self, first: str, second: str) -> dict[str, dict[str, Any]]:
        """Return for each class how many images two runs label alike and differently, with a few names."""
        from engine.labeling.label_diff import diff

        return diff(self.store, first, second)

    def accept(self, run: str) -> Decided:
        """Let the labels of a run count, before those of the runs accepted earlier."""
        from engine.labeling.label_runs import accept

        return accept(self.store, run)

    def revert(self, run: str) -> Decided:
        """Let a run count no more; what it covered counts again."""
        from engine.labeling.label_runs import revert

        return revert(self.store, run)

    def export(
        self,
        output: str | PathLike[str],
        *,
        run: str | None = None,
        form: str = "csv",
        images: bool = False,
        indices: str | PathLike[str] | None = None,
        classes: Sequence[str] | None = None,
    ) -> LabelsExported:
        """Write the labels that count, or those of a run, into a file or a new folder.

        `form` is csv, parquet, onehot, folder, webdataset or coco; `images` adds the pictures; `indices` is a CSV file
        with the images to list; `classes` are those to write, in this order.
        """
        from engine.labeling.label_export import export_labels

        listed = None if indices is None else Path(indices)
        return export_labels(
            self.store, Path(output), run=run, form=form, images=images, indices=listed, classes=classes
        )
