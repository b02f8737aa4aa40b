"""MNIST (LeCun, Bottou, Bengio & Haffner 1998): 70,000 grey pictures of digits, 28 × 28 pixels."""

from __future__ import annotations

from benchmarks.datasets.download import Remote
from benchmarks.datasets.idx import IdxDataset

# The mirror that torchvision names; the first site answers no more.
SITE = "https://ossci-datasets.s3.amazonaws.com/mnist"


class Mnist(IdxDataset):
    """The four files of the publisher."""

    title = "MNIST"
    classes = tuple("0123456789")
    remotes = (
        Remote(f"{SITE}/train-images-idx3-ubyte.gz", "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        Remote(f"{SITE}/train-labels-idx1-ubyte.gz", "md5:d53e105ee54ea40749a09fcbcd1e9432"),
        Remote(f"{SITE}/t10k-images-idx3-ubyte.gz", "md5:9fb629c4189551a2d022fa330f9573f3"),
        Remote(f"{SITE}/t10k-labels-idx1-ubyte.gz", "md5:ec29112dd5afa0611ce80d1b7f02629c"),
    )
