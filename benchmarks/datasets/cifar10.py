"""CIFAR-10: 60,000 pictures of 32 × 32 pixels in 10 classes."""

from __future__ import annotations

from benchmarks.datasets.cifar import CifarDataset
from benchmarks.datasets.download import Remote


class Cifar10(CifarDataset):
    """50,000 pictures to train on and 10,000 to test."""

    title = "CIFAR-10"
    remote = Remote("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", "md5:c32a1d4ab5d03f1284b67883e8d87530")
    splits = {"train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test": ("test_batch.bin",)}  # noqa: RUF012
    names = "batches.meta.txt"
    codes = 1
