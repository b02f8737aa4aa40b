"""The data sets of the benchmarks: where each is found, how it is read, what has to be said of its pixels.

base.py        Dataset: the contract; Place: where to look; Found: what was found
download.py    Remote, fetch: files of the official sites, checked by digest, resumed
digests.py     digests of files that lie here already, taken once
idx.py         IdxDataset: four IDX files, as of MNIST
cifar.py       CifarDataset: the binary archive, read without unpickling, or a tar or folder of pictures
pack.py        pictures in memory → a tar of PNG files
and one file a data set
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from benchmarks.datasets.base import Dataset, Found, Place, Unavailable
from engine.errors import BadInput, SourceCut, SourceError
from engine.store.durable import is_full

__all__ = ["DATASETS", "Dataset", "Found", "Place", "Unavailable", "dataset", "is_store"]

DATASETS = {
    "fashion-mnist": "benchmarks.datasets.fashion_mnist:FashionMnist",
    "mnist": "benchmarks.datasets.mnist:Mnist",
    "cifar10": "benchmarks.datasets.cifar10:Cifar10",
    "cifar100": "benchmarks.datasets.cifar100:Cifar100",
    "cifar100-1": "benchmarks.datasets.cifar100_subset:Cifar100Subset",
    "cifar100-2": "benchmarks.datasets.cifar100_subset:Cifar100Subset",
    "cifar100-3": "benchmarks.datasets.cifar100_subset:Cifar100Subset",
    "cifar100-4": "benchmarks.datasets.cifar100_subset:Cifar100Subset",
    "cifar100-5": "benchmarks.datasets.cifar100_subset:Cifar100Subset",
    "digits": "benchmarks.datasets.digits:Digits",
    "caltech101": "benchmarks.datasets.caltech101:Caltech101",
    "sample": "benchmarks.datasets.sample:Sample",
    "store": "benchmarks.datasets.user_store:UserStore",
}
BRING = "bring the files of its publisher, or leave it out: --dataset names those to measure"


@dataclass(frozen=True)
class Guarded:
    """A data set, of which nothing but a full disk stops a suite."""

    inner: Dataset

    @property
    def name(self) -> str:
        return self.inner.name

    def find(self, place: Place) -> Found:
        """Return what was found; raise `Unavailable` for whatever is wrong with it."""
        try:
            return self.inner.find(place)
        except BadInput as error:
            raise Unavailable(error.message, error.remedy or BRING) from error
        except (SourceError, SourceCut) as error:
            # Their remedies are for `engine ingest`.
            raise Unavailable(error.message, BRING) from error
        except OSError as error:
            if is_full(error):
                raise
            what = error.filename or self.name
            raise Unavailable(f"{what} cannot be used: {error.strerror or error}", BRING) from error


def dataset(name: str) -> Dataset:
    """Return the data set called `name`; raise `BadInput` if there is none."""
    if name not in DATASETS:
        raise BadInput(f"there is no data set {name!r}", f"one of: {', '.join(DATASETS)}")
    module, _, attribute = DATASETS[name].partition(":")
    made: Dataset = getattr(import_module(module), attribute)(name)
    return Guarded(made)


def is_store(path: Path) -> bool:
    """Say whether `path` is a store and not a folder of data sets."""
    return (path / "members.lance").is_dir()
