"""A trained network at work: latents, reconstructions and, with a head, scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from engine.encoders.autoencoder.checkpoint import fill
from engine.encoders.autoencoder.network import DEVIATION, autoencoder
from engine.encoders.autoencoder.training import EVALUATED, as_input
from engine.encoders.base import Pixels


class Reconstructor:
    """The network of some `weights`, for pictures of `side` pixels and a head of `classes`, if it has one."""

    def __init__(self, weights: Mapping[str, NDArray[np.generic]], *, side: int, classes: int = 0) -> None:
        self.model = autoencoder(side, classes=classes)
        fill(self.model, weights)
        self.model.eval()
        self.classes = classes

    def latents(self, pictures: Pixels) -> NDArray[np.float32]:
        """Return the latents (n, 128), not of unit length, of uint8 (n, side, side, 3)."""
        import torch

        with torch.no_grad():
            return np.concatenate([self.model["encoder"](as_input(part)).numpy() for part in _parts(pictures)])

    def scores(self, latents: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the head says of latents: (n, classes), the largest is the answer."""
        import torch

        with torch.no_grad():
            scores: NDArray[np.float32] = self.model["head"](torch.from_numpy(latents)).numpy()
        return scores

    def reconstructed(self, pictures: Pixels) -> Pixels:
        """Return the pictures as they come out, uint8 of the same shape."""
        return np.concatenate([np.rint(255 * one).astype(np.uint8) for one, _ in self._out(pictures)])

    def mse(self, pictures: Pixels) -> float:
        """Return the mean squared error of pixels from 0 to 1."""
        squares = [((out - part / np.float32(255)) ** 2).sum(dtype=np.float64) for out, part in self._out(pictures)]
        return float(sum(squares) / pictures.size)

    def _out(self, pictures: Pixels) -> Iterator[tuple[NDArray[np.float32], Pixels]]:
        """Yield reconstructions, pixels from 0 to 1 (n, side, side, 3), each with what it is of."""
        import torch

        for part in _parts(pictures):
            with torch.no_grad():
                out = self.model["decoder"](self.model["encoder"](as_input(part)))
            yield np.clip(out.permute(0, 2, 3, 1).numpy() * DEVIATION[0] + 0.5, 0, 1), part


def _parts(pictures: Pixels) -> Iterator[Pixels]:
    for start in range(0, len(pictures), EVALUATED):
        yield np.ascontiguousarray(pictures[start : start + EVALUATED])
