"""STORE/models: what was trained here, NAME.safetensors and what it is, NAME.json. Written whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadInput
from engine.store import Space, Store
from engine.store.durable import write_whole

DIGITS = 12
# What a run records of a training, and the option that says it.
OPTIONS = {
    "steps": "steps",
    "side": "side",
    "seed": "seed",
    "reconstruction": "reconstruction-weight",
    "classification": "classification-weight",
}


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
    """Return what is known of every model of the store, by name; files that tell of none are passed over."""
    found = []
    for path in sorted(store.models.glob("*.json")):
        if weights_path(store, path.stem).is_file():
            with suppress(BadInput):
                found.append(about(store, path.stem))
    return found


def about(store: Store, name: str) -> dict[str, Any]:
    """Return what is known of a model; raise `BadInput` if there is none of that name or it cannot be read."""
    try:
        known: dict[str, Any] = json.loads((store.models / f"{name}.json").read_text())
    except (OSError, ValueError) as error:
        raise BadInput(f"there is no model {name!r} in {store.models}", "engine train autoencoder") from error
    if not isinstance(known, dict) or known.get("model") != name:
        raise BadInput(f"{store.models / name}.json does not tell of a model {name!r}", "engine train autoencoder")
    return known


def is_whole(store: Store, name: str) -> bool:
    """Say whether a model is there, and its weights are those that it is named after."""
    try:
        about(store, name)
        return hashlib.sha256(weights_path(store, name).read_bytes()).hexdigest()[:DIGITS] == name
    except (BadInput, OSError):
        return False


def trained_before(store: Store, key: str) -> dict[str, Any] | None:
    """Return the whole model that was trained under `key`, which stands for all that a training depends on."""
    found = (one for one in models(store) if one.get("key") == key)
    return next((one for one in found if is_whole(store, one["model"])), None)


def again(store: Store, space: Space) -> str:
    """Return the command that trains the model of `space` as it was trained, as far as the runs tell."""
    model = space.encoder.partition(":")[2]
    rows = store.runs.rows(["run", "event", "details"], "command = 'train'")
    told = [(row["run"], row["event"], json.loads(row["details"])) for row in rows]
    made = {run for run, event, details in told if event == "end" and details.get("model") == model}
    asked: dict[str, Any] = next((details for run, event, details in told if event == "start" and run in made), {})
    config: dict[str, Any] = asked.get("config", {})
    given = {option: config[name] for name, option in OPTIONS.items() if name in config}
    words = ["engine train autoencoder", *(["--head"] if asked.get("head") else [])]
    words += [f"--{option} {value}" for option, value in given.items()]
    return " ".join([*words, f"--space {space.name}"])
