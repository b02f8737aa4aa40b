"""Training: pictures → weights. The budget is in steps, never in time: weights do not depend on the machine's speed.

Every random choice is made from the seed and the number of the step or epoch, so that a training that goes on from a
checkpoint draws what it would have drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.encoders.autoencoder.checkpoint import Arrays, fill, packed, prefixed, restore, tensors
from engine.encoders.autoencoder.network import DEVIATION, LATENT, autoencoder
from engine.encoders.base import Pixels
from engine.errors import BadInput, Interrupted

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import ModuleDict
    from torch.optim import Optimizer

BATCH = 64
# Of the held-out pictures at most this many are looked at while training; pictures that are looked at in one go.
CHECKED, EVALUATED = 2048, 256
# Labels are smoothed by so much, which draws the latents of a class together: Müller, Kornblith & Hinton, "When does
# label smoothing help?", NeurIPS 2019. Two epochs over 12,000 images of CIFAR-10, on held-out training images: accuracy
# of the head 0.560 and NMI of the clusters 0.332, without it 0.547 and 0.330.
SMOOTHING = 0.1
# An epoch of few pictures is over in a moment: the validation waits for this many steps.
LEAST_STEPS = 20
# From the network's scale to pixels from 0 to 1.
PIXELS = DEVIATION[0] ** 2
COLUMNS = ("step", "train_mse", "train_loss", "mse", "loss")
Told = Callable[[int, str], None]
Keep = Callable[[Arrays], None]


@dataclass(frozen=True)
class Config:
    """What a training is told. Losses are weighed by `reconstruction` and, with labels, `classification`.

    `rate` is the highest learning rate of a single cycle: Smith & Topin, "Super-convergence", arXiv:1708.07120.
    `patience` is the number of validations without a better loss after which it stops.
    """

    steps: int
    side: int = 32
    seed: int = 0
    reconstruction: float = 1.0
    classification: float = 1.0
    batch: int = BATCH
    rate: float = 3e-3
    decay: float = 0.01
    patience: int = 10
    validation: float = 0.2
    # A few seconds of work; writing the state takes a hundredth of them.
    checkpoint: int = 50


@dataclass(frozen=True)
class Trained:
    """`weights` by name, `history` float64 (validations, 5) with the columns `COLUMNS`, and which rows were held out.

    The errors of the history are of pixels from 0 to 1; the losses are what was made small.

    `best` is the step whose weights these are, `stopped` says whether it ended before its budget.
    """

    weights: Arrays
    history: NDArray[np.float64]
    held: NDArray[np.int64]
    best: int
    stopped: bool


def split(n: int, config: Config) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return which of `n` rows are trained on and which are held out, both sorted."""
    order = np.random.default_rng([config.seed, n]).permutation(n)
    held = max(1, round(n * config.validation))
    return np.sort(order[held:]), np.sort(order[:held])


def rate_at(step: int, config: Config) -> float:
    """Return the learning rate of a step: up for a fifth of the budget, then down as a cosine."""
    rise = max(1, config.steps // 5)
    if step < rise:
        return config.rate * (step + 1) / rise
    return config.rate * 0.5 * (1 + np.cos(np.pi * (step - rise) / max(1, config.steps - rise)))


class Batches:
    """The training pictures of each step: an order for each epoch, half of them mirrored."""

    def __init__(self, rows: NDArray[np.int64], config: Config) -> None:
        self.rows = rows
        self.size = min(config.batch, len(rows))
        self.epoch = len(rows) // self.size
        self.seed = config.seed
        self._order: tuple[int, NDArray[np.int64]] = (-1, rows)

    def at(self, step: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the rows of a step, and which of them are mirrored."""
        epoch, place = divmod(step, self.epoch)
        if self._order[0] != epoch:
            self._order = epoch, np.random.default_rng([self.seed, 1, epoch]).permutation(self.rows)
        rows = self._order[1][place * self.size : (place + 1) * self.size]
        return rows, np.random.default_rng([self.seed, 2, step]).random(self.size) < 0.5


def as_input(pictures: Pixels) -> Tensor:
    """Return uint8 (n, side, side, 3) as the network takes them: float32 (n, 3, side, side), channels last."""
    import torch

    # As `Blueprint` has it: pixels from 0 to 1, less the mean, over the deviation.
    scale = 255 * DEVIATION[0]
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float().sub_(127.5).div_(scale)


def train(
    pictures: Pixels,
    config: Config,
    *,
    rows: NDArray[np.int64] | None = None,
    labels: NDArray[np.int64] | None = None,
    state: Arrays | None = None,
    keep: Keep | None = None,
    told: Told | None = None,
    interrupted: Callable[[], bool] = bool,
) -> Trained:
    """Return the weights that reconstruct `pictures`, uint8 (n, side, side, 3), best on those held out.

    `rows` are those to use (all by default); with `labels` (n,), codes from 0, a head is trained too. `keep` is given
    the whole state every `checkpoint` steps, and a `state` of that kind goes on where it was kept, to the same weights.
    `told` hears after each step how many pictures it took and how it stands. Once `interrupted` says so, the state is
    kept and `Interrupted` raised.
    """
    loop = Loop(pictures, config, np.arange(len(pictures)) if rows is None else rows, labels)
    if state is not None:
        loop.load(state)
    while loop.step < config.steps and not loop.stalled:
        seen = loop.advance()
        validated = loop.step % loop.every == 0 or loop.step == config.steps
        if validated:
            loop.validate()
        stopped = interrupted()
        if keep is not None and (stopped or loop.step % config.checkpoint == 0):
            keep(loop.state())
        if told is not None:
            told(seen, loop.status)
        if stopped:
            raise Interrupted(
                f"stopped after step {loop.step} of {config.steps}", "give the same command again to go on"
            )
    return loop.trained()


class Loop:
    """A training between two steps: the network, the optimizer, the history, and the best weights so far."""

    def __init__(
        self, pictures: Pixels, config: Config, rows: NDArray[np.int64], labels: NDArray[np.int64] | None
    ) -> None:
        import torch

        self.pictures, self.config, self.labels = pictures, config, labels
        known, held = split(len(rows), config)
        self.batches, self.held = Batches(rows[known], config), rows[held]
        self.every = max(self.batches.epoch, LEAST_STEPS)
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            self.model: ModuleDict = autoencoder(config.side, classes=0 if labels is None else int(labels.max()) + 1)
        self.optimizer: Optimizer = torch.optim.AdamW(self.model.parameters(), config.rate, weight_decay=config.decay)
        self.step, self.history, self.best = 0, np.empty((0, len(COLUMNS))), tensors(self.model)
        self.sums = np.zeros(2)
        self.since = 0
        self.status = "loss -"

    @property
    def stalled(self) -> bool:
        """Say whether the last validations were all worse than the best one."""
        return (
            bool(len(self.history)) and len(self.history) - 1 - int(self.history[:, 4].argmin()) >= self.config.patience
        )

    def losses(self, rows: NDArray[np.int64], flipped: NDArray[np.bool_] | None = None) -> tuple[Tensor, Tensor]:
        """Return the mean squared error and the whole loss of some pictures."""
        import torch
        from torch.nn import functional

        taken = self.pictures[rows]
        if flipped is not None:
            taken[flipped] = taken[flipped][:, :, ::-1]
        x = as_input(taken)
        latent = self.model["encoder"](x)
        mse = functional.mse_loss(self.model["decoder"](latent), x)
        loss = self.config.reconstruction * mse
        if self.labels is not None:
            scores = self.model["head"](latent)
            known = torch.from_numpy(self.labels[rows])
            missed = functional.cross_entropy(scores, known, label_smoothing=SMOOTHING)
            loss = loss + self.config.classification * missed
        return mse, loss

    def advance(self) -> int:
        """Take one step; return how many pictures it took."""
        rows, flipped = self.batches.at(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate_at(self.step, self.config)
        mse, loss = self.losses(rows, flipped)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self._check(loss.item())
        self.sums += PIXELS * mse.item(), loss.item()
        self.since += 1
        self.step += 1
        return len(rows)

    def validate(self) -> None:
        """Add a row to the history, and keep the weights if they are the best so far."""
        import torch

        self.model.eval()
        rows, sums = self.held[:: max(1, len(self.held) // CHECKED)][:CHECKED], np.zeros(2)
        with torch.no_grad():
            for start in range(0, len(rows), EVALUATED):
                part = rows[start : start + EVALUATED]
                mse, loss = self.losses(part)
                sums += np.array([PIXELS * mse.item(), loss.item()]) * len(part)
        self.model.train()
        self._check(sums[1])
        row = [self.step, *(self.sums / max(1, self.since)), *(sums / len(rows))]
        self.history = np.vstack([self.history, row])
        self.sums, self.since = np.zeros(2), 0
        if self.history[:, 4].argmin() == len(self.history) - 1:
            self.best = tensors(self.model)
        self.status = f"loss {row[2]:.4f}, validation {row[4]:.4f}"

    def _check(self, number: float) -> None:
        """Raise `BadInput` for a loss that is none any more."""
        if not np.isfinite(number):
            raise BadInput(
                f"the training diverged at step {self.step}: the loss is no finite number",
                "give a smaller --reconstruction-weight or --classification-weight",
            )

    def state(self) -> Arrays:
        counts = {
            "step": np.array(self.step),
            "since": np.array(self.since),
            "sums": self.sums.copy(),
            "history": self.history,
        }
        return {**counts, **prefixed("best", self.best), **packed(self.model, self.optimizer)}

    def load(self, state: Arrays) -> None:
        self.step, self.since = int(state["step"]), int(state["since"])
        self.sums, self.history = np.array(state["sums"]), np.array(state["history"])
        self.best = prefixed("best", state, strip=True)
        restore(self.model, self.optimizer, state)

    def trained(self) -> Trained:
        fill(self.model, self.best)
        self.model.eval()
        centre(self.model, mean_latent(self.model, self.pictures, self.batches.rows))
        best = int(self.history[self.history[:, 4].argmin(), 0])
        weights = tensors(self.model)
        for array in weights.values():
            self._check(float(np.abs(array).max()))
        return Trained(weights, self.history, self.held, best, self.step < self.config.steps)


def mean_latent(model: ModuleDict, pictures: Pixels, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean latent (128,) of some pictures, at most 2,048 of them."""
    import torch

    taken, total = rows[:: max(1, len(rows) // CHECKED)][:CHECKED], np.zeros(LATENT)
    with torch.no_grad():
        for start in range(0, len(taken), EVALUATED):
            latents = model["encoder"](as_input(pictures[taken[start : start + EVALUATED]]))
            total += latents.numpy().sum(axis=0, dtype=np.float64)
    return total / len(taken)


def centre(model: ModuleDict, mean: NDArray[np.float64]) -> None:
    """Move the latents so that `mean` becomes zero; reconstructions and scores of the head stay what they are.

    A cosine compares directions from the origin: with all latents on one side of it any two would look alike.
    """
    import torch

    shift = torch.from_numpy(mean.astype(np.float32))
    with torch.no_grad():
        model["encoder"][-1].bias -= shift
        for layer in [model["decoder"][0], *([model["head"]] if "head" in model else ())]:
            layer.bias += layer.weight @ shift
