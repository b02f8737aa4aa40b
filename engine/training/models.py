"""STORE/models: what was trained here, NAME.safetensors and what it is, NAME.json. Written whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadInput
from engine.store import Store
from engine.store.durable import write_whole

DIGITS = 12


def write(store: Store, weights: Mapping[str, NDArray[np.generic]], about: Mapping[str, Any]) -> str:
    """Write a model and return its name, which comes from the weights: the same ones are the same model."""
    from safetensors.numpy import save

    data = save({name: np.ascontiguousarray(array) for name, array in weights.items()})
    name = hashlib.sha256(data).hexdigest()[:DIGITS]
    # The weights last: a model is there when they are.
    write_whole(store.models / f"{name}.json", json.dumps({"model": name, **about}, indent=1).encode())
    write_whole(weights_path(store, name), data)
    return name


def weights_path(store: Store, name: str) -> Path:
    """Return where the weights of a model lie."""
    return store.models / f"{name}.safetensors"


def weights(store: Store, name: str) -> dict[str, NDArray[np.generic]]:
    """Return the weights of a model by name."""
    from safetensors.numpy import load_file

    return dict(load_file(weights_path(store, name)))


def models(store: Store) -> list[dict[str, Any]]:
    """Return what is known of every model of the store, by name."""
    found = [path for path in sorted(store.models.glob("*.json")) if weights_path(store, path.stem).is_file()]
    return [about(store, path.stem) for path in found]


def about(store: Store, name: str) -> dict[str, Any]:
    """Return what is known of a model; raise `BadInput` if there is none of that name or it cannot be read."""
    try:
        known: dict[str, Any] = json.loads((store.models / f"{name}.json").read_text())
    except (OSError, ValueError) as error:
        raise BadInput(f"there is no model {name!r} in {store.models}", "engine train autoencoder") from error
    return known


def trained_before(store: Store, key: str) -> dict[str, Any] | None:
    """Return the model that was trained under `key`, which stands for all that a training depends on."""
    return next((one for one in models(store) if one.get("key") == key), None)
