"""CIFAR-100: 60,000 pictures of 32 × 32 pixels in 100 classes."""

from __future__ import annotations

from benchmarks.datasets.cifar import CifarDataset
from benchmarks.datasets.download import Remote


class Cifar100(CifarDataset):
    """50,000 pictures to train on and 10,000 to test, by their fine classes."""

    title = "CIFAR-100"
    remote = Remote("https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz", "md5:03b5dce01913d631647c71ecec9e9cb8")
    splits = {"train": ("train.bin",), "test": ("test.bin",)}  # noqa: RUF012
    names = "fine_label_names.txt"
    codes = 2
