"""The Python API: a store and its verbs under one name. It says what the command line says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.store import Store

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine.clustering.cluster_runs import ClusterRun
    from engine.clustering.compare import Compared
    from engine.clustering.name import Named
    from engine.clustering.show import Shown
    from engine.drawing.maps import Drawn
    from engine.export import Exported
    from engine.labeling.collection_labels import CollectionLabels
    from engine.labeling.diagnosis import Diagnosis
    from engine.labeling.evaluate import Evaluation
    from engine.labeling.label import Labelled
    from engine.neighbors.dedupe import Deduped
    from engine.neighbors.graph import Graph
    from engine.remove import Removed
    from engine.retrieval.batch import Written
    from engine.retrieval.query import Query
    from engine.retrieval.search import Answer
    from engine.verify import Verdict

# What is given once or several times: a name, a path, or what is held in memory.
Given = Any


class Collection:
    """A collection of images: `engine.open(PATH)`."""

    def __init__(self, store: Store) -> None:
        self.store = store

    @classmethod
    def open(cls, path: str | PathLike[str]) -> Collection:
        """Return the collection at `path`; raise `NoStore` if there is none."""
        return cls(Store.open(path))

    def __repr__(self) -> str:
        return f"Collection({str(self.store.path)!r})"

    def search(
        self,
        *,
        image: Given = (),
        id: Given = (),
        vector: Given = (),
        like: Given = (),
        unlike: Given = (),
        space: str | None = None,
        k: int | None = None,
        threshold: float | None = None,
        fpr: float | None = None,
        where: str | None = None,
        exclude_self: bool = False,
        exact: bool = False,
    ) -> Answer:
        """Return the `k` closest images (10 by default), or all with `score >= threshold` or by `fpr`, best first.

        `image` is a picture: a path, a PIL image or a uint8 array (h, w, 3); `id` a stored image, by its name or as the
        32 bytes of `hit.id`; `vector` a .npy file or an array (dim,) or (n, dim); `like` and `unlike` are stored images
        or pictures. Each may be a list.
        Raises a subclass of `engine.errors.EngineError`.
        """
        from engine.retrieval.search import search

        query = _query(image, id, vector, like, unlike)
        return search(
            self.store, query, space=space, k=k, threshold=threshold, fpr=fpr, where=where,
            exclude_self=exclude_self, exact=exact,
        )  # fmt: skip

    def search_many(
        self,
        *,
        images: str | PathLike[str] | None = None,
        vectors: str | PathLike[str] | NDArray[Any] | None = None,
        ids: str | PathLike[str] | Sequence[str | bytes] | None = None,
        all: bool = False,
        output: str | PathLike[str] | None = None,
        space: str | None = None,
        k: int | None = None,
        threshold: float | None = None,
        fpr: float | None = None,
        where: str | None = None,
        exclude_self: bool = False,
        exact: bool = False,
    ) -> Iterator[Answer] | Written:
        """Yield the answer to each of many queries, or write all hits into `output` (.parquet, .csv, .jsonl).

        The queries are the `images` of a source, the rows of `vectors` (a .npy file or an array), stored images by
        `ids` (names and ids, or a text file of names), or `all` stored images.
        Raises a subclass of `engine.errors.EngineError`.
        """
        from engine.retrieval.batch import Queries, batch

        made = batch(
            self.store, Queries(images, vectors, ids, all), space=space, k=k, threshold=threshold, fpr=fpr,
            where=where, exclude_self=exclude_self, exact=exact, output=output,
        )  # fmt: skip
        return made.answers() if output is None else made.write(output)

    def index(
        self,
        *,
        space: str | None = None,
        kind: str = "auto",
        recall: float = 0.95,
        memory: int | None = None,
        update: bool = False,
    ) -> dict[str, Any]:
        """Build an index over a space, or `update` the one that is there with what it was built with.

        Returns the keys of `engine index --json`. Raises `BadInput`, `EmptySpace`.
        """
        from engine.errors import BadInput
        from engine.retrieval import index

        if update and (kind, recall, memory) != ("auto", 0.95, None):
            raise BadInput("update goes on with what the index was built with", "leave out kind, recall and memory")
        if update:
            return index.update(self.store, space)
        return index.build(self.store, space, kind=kind, recall=recall, memory=memory)

    def graph(self, *, space: str | None = None, k: int = 15, exact: bool = False) -> Graph:
        """Return the graph of each image's `k` nearest others: `.knn.csr()` is a sparse matrix of cosines.

        Row i is the image `.vectors.ids[i]`. It is built if there is none that is fresh.
        """
        from engine.neighbors.graph import graph

        return graph(self.store, space, k=k, exact=exact)

    def dedupe(self, *, space: str | None = None, threshold: float = 0.96, keep: str = "largest") -> Deduped:
        """Find groups of near duplicates in which every pair meets the threshold, and record them as a run."""
        from engine.neighbors.dedupe import dedupe

        return dedupe(self.store, space=space, threshold=threshold, keep=keep)

    def cluster(
        self,
        method: str = "leiden",
        *,
        k: int | str | None = None,
        reduce: str | None = None,
        resolution: float | None = None,
        min_size: int | None = None,
        seed: int = 0,
        space: str | None = None,
        where: str | None = None,
        recompute: bool = False,
    ) -> ClusterRun:
        """Cluster the images of a space: `.ids`, `.codes` (−1 for noise), and `.result["metrics"]`.

        A run that did the same on the same vectors is returned as it is, unless `recompute`.
        Raises a subclass of `engine.errors.EngineError`; nothing is written then.
        """
        from engine.clustering.cluster import cluster
        from engine.clustering.plan import Plan

        plan = Plan.of(method, k, reduce=reduce, seed=seed, resolution=resolution, min_size=min_size)
        return cluster(self.store, plan, space=space, where=where, recompute=recompute)

    def clusters(self, run: str | None = None) -> list[Shown]:
        """Return the clusters of a run (default: the newest) with size, medoid, commonest class and purity."""
        from engine.clustering.cluster_runs import cluster_run
        from engine.clustering.show import show

        return show(self.store, cluster_run(self.store, run))[1]

    def name_cluster(self, cluster: int | str, label: str, *, run: str | None = None) -> Named:
        """Label the images of a cluster as a person does; `engine labels revert` takes it back."""
        from engine.clustering.name import name_cluster

        return name_cluster(self.store, cluster, label, run=run)

    def compare_clusters(self, first: str, second: str) -> Compared:
        """Return how far two runs of clusters agree."""
        from engine.clustering.compare import compare

        return compare(self.store, first, second)

    def map(
        self,
        *,
        method: str = "umap",
        space: str | None = None,
        sample: int | None = None,
        seed: int = 0,
        color: str | None = None,
        truth: str | PathLike[str] | None = None,
        png: str | PathLike[str] | None = None,
        html: str | PathLike[str] | None = None,
        recompute: bool = False,
    ) -> Drawn:
        """Lay the images of a space out in two dimensions: `.drawing.map` has `ids` (n, 32) and `xy` (n, 2).

        `color` is label, truth, cluster:RUN, score:RUN or error:RUN. With `png` and `html` it is drawn into a picture
        and a page. Coordinates are kept. Raises a subclass of `engine.errors.EngineError`.
        """
        from engine.drawing.maps import draw

        paths = [None if path is None else Path(path) for path in (truth, png, html)]
        return draw(
            self.store, method=method, space=space, sample=sample, seed=seed, recompute=recompute, by=color,
            truth=paths[0], picture=paths[1], page=paths[2],
        )  # fmt: skip

    def label(
        self,
        *,
        exemplars: Mapping[str, Given] | None = None,
        negatives: Mapping[str, Given] | None = None,
        threshold: float | Sequence[float] = (),
        fpr: float | Sequence[float] = (),
        labeler: str = "nearest",
        margin: float = 0.0,
        k: int | None = None,
        none_label: str | None = None,
        balance: float | None = None,
        seed: int = 0,
        space: str | None = None,
        compare_spaces: Sequence[str] = (),
        agree: bool = False,
        where: str | None = None,
    ) -> Labelled:
        """Label the images close enough to exemplars: a proposed run for each threshold, with its report.

        `exemplars` and `negatives` map a class to a stored image, by name or id, or to several; they are remembered.
        Raises a subclass of `engine.errors.EngineError`; nothing is written then.
        """
        from engine.labeling.label import label
        from engine.labeling.label_rule import Rule

        rule = Rule(labeler, _listed(threshold), _listed(fpr), margin, k, none_label, balance, seed)
        return label(
            self.store, rule, exemplars=_pairs(exemplars), negatives=_pairs(negatives), space=space,
            compare=compare_spaces, agree=agree, where=where,
        )  # fmt: skip

    @property
    def labels(self) -> CollectionLabels:
        """Return the labels, to be counted, set, compared, accepted and exported."""
        from engine.labeling.collection_labels import CollectionLabels

        return CollectionLabels(self.store)

    def evaluate(
        self,
        run: str | None = None,
        *,
        truth: str | PathLike[str] | None = None,
        names: Mapping[str, str] | None = None,
        output: str | PathLike[str] | None = None,
    ) -> Evaluation:
        """Return how the labels of a run (default: the newest) compare with the truth in the store, or in a CSV file.

        `names` maps classes of the run to what the truth calls them.
        With `output`, curves.png and confusion.png are drawn into that folder. Raises `BadInput`.
        """
        from engine.labeling.evaluate import evaluate

        found = evaluate(self.store, run, truth=truth, names=names)
        if output is not None:
            from engine.drawing.evaluation import draw_evaluation

            draw_evaluation(found, Path(output))
        return found

    def doctor(
        self,
        *,
        space: Given = (),
        labels: Sequence[str] = ("human", "exemplar", "given"),
        truth: bool = False,
        precision: float = 0.95,
        output: str | PathLike[str] | None = None,
    ) -> Diagnosis:
        """Return which spaces (default: all) separate the labels of these sources, or those kept as truth.

        With `output`, the scores of pairs are drawn into that PNG file. Raises `BadInput`, `EmptySpace`.
        """
        from engine.labeling.doctor import doctor

        names = [str(name) for name in _listed(space)]
        found = doctor(self.store, spaces=names, sources=labels, truth=truth, precision=precision)
        if output is not None:
            from engine.drawing.doctor import draw_diagnosis

            draw_diagnosis(found, Path(output))
        return found

    def members(self, *, rejected: bool = False, removed: bool = False) -> Iterator[dict[str, Any]]:
        """Yield the ledger, or only what was rejected or removed: the keys of `engine members --json`."""
        from engine.members import members

        return members(self.store, rejected=rejected, removed=removed)

    def spaces(self) -> list[dict[str, Any]]:
        """Return the spaces with encoder, fingerprint and coverage: the keys of `engine spaces --json`."""
        from engine.info import spaces

        return spaces(self.store)

    def runs(self) -> list[dict[str, Any]]:
        """Return every command that wrote something, oldest first: the keys of `engine runs --json`."""
        from engine.info import runs

        return runs(self.store)

    def remove(self, image: Given = (), *, where: str | None = None, run: str | None = None) -> Removed:
        """Take images out of every table and cache: by name or id, by a condition, or what a run of dedupe found twice.

        Raises `BadInput`, `NoSuchImage`, `AmbiguousName`, and `StoreBusy` while others write.
        """
        from engine.remove import remove

        return remove(self.store, _names(image), where=where, duplicates=run)

    def info(self) -> dict[str, Any]:
        """Return what the store holds: the keys of `engine info --json`."""
        from engine.info import info

        return info(self.store)

    def verify(self, *, read_bytes: bool = False) -> Verdict:
        """Check that nothing is lost and nothing is twice."""
        from engine.verify import verify

        return verify(self.store, read_bytes=read_bytes)

    def export(self, output: str | PathLike[str], *, space: str | None = None, form: str | None = None) -> Exported:
        """Write the vectors of a space with ids and names."""
        from engine.export import export

        return export(self.store, Path(output), space=space, form=form)

    # Only the store knows LanceDB's types.
    def database(self) -> Any:
        """Return the store as the LanceDB database that it is; write to it only through this package."""
        return self.store.database()


def _query(image: Given, id: Given, vector: Given, like: Given, unlike: Given) -> Query:
    from engine.retrieval.query import Query

    return Query(_listed(image), _names(id), _listed(vector), _examples(like), _examples(unlike))


def _names(given: Given) -> list[str]:
    """Return names of stored images, given by name or by id, once, several times or as the rows of an array."""
    from engine.store.names import spelled

    rows = isinstance(given, np.ndarray) and given.ndim == 2
    return [spelled(one) for one in (given if rows else _listed(given))]


def _examples(given: Given) -> list[Any]:
    """Return names and pictures: an id is spelled as a name."""
    return [one for part in _listed(given) for one in (_names(part) if isinstance(part, bytes) else [part])]


def _pairs(given: Mapping[str, Given] | None) -> list[tuple[str, str]]:
    return [(label, name) for label, names in (given or {}).items() for name in _names(names)]


def _listed(given: Given) -> list[Any]:
    """Return what was given once or several times as a list."""
    # A PIL image is not iterable; an array is, and is one picture or the vectors of one query.
    alone = isinstance(given, str | bytes | PathLike | np.ndarray) or not isinstance(given, Iterable)
    return [given] if alone else list(given)
