"""Fashion-MNIST (Xiao, Rasul & Vollgraf, arXiv:1708.07747): 70,000 grey pictures of 28 × 28 pixels in 10 classes."""

from __future__ import annotations

from pathlib import Path

from benchmarks.datasets.download import Remote
from benchmarks.datasets.idx import IdxDataset

SITE = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"


class FashionMnist(IdxDataset):
    """The four files of the publisher, or those of Debian's package dataset-fashion-mnist."""

    title = "Fashion-MNIST"
    classes = (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    )  # fmt: skip
    remotes = (
        Remote(f"{SITE}/train-images-idx3-ubyte.gz", "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        Remote(f"{SITE}/train-labels-idx1-ubyte.gz", "md5:25c81989df183df01b3e8a0aad5dffbe"),
        Remote(f"{SITE}/t10k-images-idx3-ubyte.gz", "md5:bef4ecab320f06d8554ea6380940ec79"),
        Remote(f"{SITE}/t10k-labels-idx1-ubyte.gz", "md5:bb300cfdad3c16e7a12a480ee83cd310"),
    )
    folders = (Path("/usr/share/datasets/fashion-mnist"),)
