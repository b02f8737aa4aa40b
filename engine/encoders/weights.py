"""Checkpoints: read from a file, copied into a network, and told apart."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.encoders.base import quiet
from engine.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

NESTS = ("state_dict", "model_state_dict", "model")
WRAPPERS = ("module.", "_orig_mod.")
SHOWN = 3


def read(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint by name, unwrapped; raise `BadInput` for anything but plain tensors."""
    if not path.is_file():
        raise BadInput(
            f"there is no weights file {str(path)!r}", "give the path of a .pth, .pt, .bin or .safetensors file"
        )
    if path.stat().st_size == 0:
        raise BadInput(f"the weights file {str(path)!r} is empty", "download it again")
    tensors = _unwrapped(_loaded(path))
    if not tensors:
        raise BadInput(f"the weights file {str(path)!r} holds no tensors", "give a state_dict saved by torch.save")
    return tensors


def _loaded(path: Path) -> Any:
    import torch
    from safetensors.torch import load_file

    try:
        with quiet():
            if path.suffix == ".safetensors":
                return load_file(path)
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # Damaged files surface as a dozen kinds of exception from three libraries.
        raise BadInput(
            f"the weights file {str(path)!r} is not a checkpoint of plain tensors ({_reason(error)})",
            "save it with torch.save(model.state_dict(), FILE) or as .safetensors",
        ) from error


def _reason(error: Exception) -> str:
    """Return why a checkpoint was refused, in a few words."""
    text = str(error)
    if "GLOBAL" in text or "Unsupported" in text:
        return "it is a pickle with code in it, which is never run"
    return (text.splitlines() or [type(error).__name__])[0][:120]


def _unwrapped(content: Any) -> dict[str, Tensor]:
    """Return the state dict inside training checkpoints and data-parallel or compiled wrappers."""
    import torch

    while isinstance(content, dict) and (nest := next((n for n in NESTS if isinstance(content.get(n), dict)), None)):
        content = content[nest]
    if not isinstance(content, dict):
        return {}
    tensors = {str(name): value for name, value in content.items() if isinstance(value, torch.Tensor)}
    for prefix in WRAPPERS:
        if tensors and all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    return tensors


def fill(module: Module, tensors: dict[str, Tensor], *, head: tuple[str, ...], source: Path, network: str) -> None:
    """Copy `tensors` into `module`, a trunk without its classifier; raise `BadInput` unless they are exactly its own.

    Tensors under a name in `head` belong to the classifier and may be there or not, for any number of classes.
    """
    wanted = module.state_dict()
    faults = [
        f"{name} {tuple(tensor.shape)} is " + (f"{tuple(tensors[name].shape)}" if name in tensors else "missing")
        for name, tensor in wanted.items()
        if _counts(name) and (name not in tensors or tensors[name].shape != tensor.shape)
    ]
    faults += [
        f"{name} {tuple(tensor.shape)} is not part of it"
        for name, tensor in tensors.items()
        if name not in wanted and _counts(name) and not any(name == h or name.startswith(f"{h}.") for h in head)
    ]
    if faults:
        more = f" and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        raise BadInput(
            f"the weights file {str(source)!r} does not fit {network}: {'; '.join(faults[:SHOWN])}{more}",
            "give the checkpoint of that very network",
        )
    module.load_state_dict({name: tensor for name, tensor in tensors.items() if name in wanted}, strict=False)


def digest(module: Module) -> str:
    """Return the sha256 over the tensors of `module`, sorted by name: name, dtype, shape, bytes.

    Taken of the loaded trunk and not of the file, so that container, wrapper and classifier make no difference.
    """
    total = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        if _counts(name):
            values = tensor.detach().cpu().contiguous().numpy()
            total.update(f"{name} {values.dtype} {values.shape}\n".encode())
            total.update(values.tobytes())
    return total.hexdigest()


def _counts(name: str) -> bool:
    # How many batches the training saw: not every format keeps it, and no vector depends on it.
    return not name.endswith("num_batches_tracked")
