"""The data sets of the benchmarks: where each is found, how it is read, what has to be said of its pixels.

base.py        Dataset: the contract; Place: where to look; Found: what was found
download.py    Remote, fetch: files of the official sites, checked by digest, resumed
idx.py         IdxDataset: four IDX files, as of MNIST
cifar.py       CifarDataset: the binary archive, read without unpickling, or a tar or folder of pictures
pack.py        pictures in memory → a tar of PNG files
and one file a data set
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from benchmarks.datasets.base import Dataset, Found, Place, Unavailable
from engine.errors import BadInput

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


def dataset(name: str) -> Dataset:
    """Return the data set called `name`; raise `BadInput` if there is none."""
    if name not in DATASETS:
        raise BadInput(f"there is no data set {name!r}", f"one of: {', '.join(DATASETS)}")
    module, _, attribute = DATASETS[name].partition(":")
    made: Dataset = getattr(import_module(module), attribute)(name)
    return made


def is_store(path: Path) -> bool:
    """Say whether `path` is a store and not a folder of data sets."""
    return (path / "members.lance").is_dir()
