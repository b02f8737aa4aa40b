"""The forward pass through torch, on a CPU or a GPU.

The GPU paths (CUDA, MPS) are complete, but the machines this was developed on have neither, so they have not been run
there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.encoders.base import Pixels, Vectors
from engine.encoders.blueprint import Blueprint

if TYPE_CHECKING:
    from torch import Tensor

TORCH_BATCH = {"cpu": 32, "cuda": 64, "mps": 64}


class TorchRuntime:
    """The network itself, channels last, in inference mode."""

    name = "torch"

    def __init__(self, blueprint: Blueprint, device: str, precision: str, *, batch_size: int | None = None) -> None:
        import torch

        self.device = device
        self.precision = precision
        self.kind = device.partition(":")[0]
        self.threads = torch.get_num_threads()
        self.batch_size = batch_size or TORCH_BATCH[self.kind]
        self._module = blueprint.module.to(device).to(memory_format=torch.channels_last)
        self._mean = torch.tensor(blueprint.mean, device=device).reshape(1, 3, 1, 1) * 255
        self._deviation = torch.tensor(blueprint.std, device=device).reshape(1, 3, 1, 1) * 255

    def forward(self, pixels: Pixels) -> Vectors:
        import torch

        vectors: list[Vectors] = []
        start = 0
        while start < len(pixels):
            try:
                vectors.append(self._batch(pixels[start : start + self.batch_size]))
            except RuntimeError as error:
                # CUDA raises a subclass, MPS the class itself.
                if "out of memory" not in str(error) or self.batch_size == 1:
                    raise
                self.batch_size //= 2
                if self.kind == "cuda":
                    torch.cuda.empty_cache()
                continue
            start += len(vectors[-1])
        return np.concatenate(vectors)

    def _batch(self, pixels: Pixels) -> Vectors:
        import torch

        low = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.precision)
        with torch.inference_mode(), torch.autocast(self.kind, dtype=low or torch.bfloat16, enabled=low is not None):
            # NHWC seen as NCHW is what torch calls channels last: nothing moves.
            images: Tensor = torch.tensor(pixels, device=self.device).permute(0, 3, 1, 2).float()
            vectors: Vectors = self._module((images - self._mean) / self._deviation).float().cpu().numpy()
        return vectors
