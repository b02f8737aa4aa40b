"""A training as plain arrays by name: nothing in a checkpoint is code, and any library reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch.nn import Module
    from torch.optim import Optimizer

Arrays = dict[str, NDArray[np.generic]]


def tensors(module: Module) -> Arrays:
    """Return a copy of the weights of `module` by name."""
    return {name: tensor.detach().numpy().copy() for name, tensor in module.state_dict().items()}


def fill(module: Module, weights: Mapping[str, NDArray[np.generic]]) -> None:
    """Copy weights into `module`; raise `RuntimeError` unless they are exactly its own."""
    import torch

    module.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in weights.items()})


def prefixed(prefix: str, arrays: Mapping[str, NDArray[np.generic]], *, strip: bool = False) -> Arrays:
    """Return the arrays under `prefix.name`; with `strip` those that are called so, without it."""
    if strip:
        return {
            name.removeprefix(f"{prefix}."): array for name, array in arrays.items() if name.startswith(f"{prefix}.")
        }
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def packed(module: Module, optimizer: Optimizer) -> Arrays:
    """Return the weights and what the optimizer remembers of each."""
    memory = {
        f"{number}.{key}": value.detach().numpy().copy()
        for number, kept in optimizer.state_dict()["state"].items()
        for key, value in kept.items()
    }
    return {**prefixed("model", tensors(module)), **prefixed("optimizer", memory)}


def restore(module: Module, optimizer: Optimizer, state: Mapping[str, NDArray[np.generic]]) -> None:
    """Put back what `packed` took."""
    import torch

    fill(module, prefixed("model", state, strip=True))
    memory: dict[int, dict[str, torch.Tensor]] = {}
    for name, array in prefixed("optimizer", state, strip=True).items():
        number, _, key = name.partition(".")
        memory.setdefault(int(number), {})[key] = torch.from_numpy(np.array(array))
    optimizer.load_state_dict({**optimizer.state_dict(), "state": memory})
