"""Fused spaces: several spaces as one, by a recipe that never changes.

A fused score is Σ wᵢ·cosᵢ over the components, Σ wᵢ = 1, which is the cosine of the concatenated vectors √wᵢ·vᵢ. Those
can be stored as a space of their own, or the space can be virtual: then the scores are added at query time. An image
has a fused vector if it has one in every component.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadInput, EmptySpace, FingerprintMismatch
from engine.retrieval.background import background
from engine.store import ID_BYTES, Space, Store, VectorCache
from engine.store.vectors import identity, sort_key, unit, vector_rows

ROWS = 4096
# The space that an ingest fuses by itself, and what it may be of, the CNNs best first.
DEFAULT, LEARNT, CNNS = "fused", "autoencoder", ("resnet", "efficientnet_lite0")


@dataclass(frozen=True)
class FusedMatrix:
    """The concatenated matrix (n, dim) without its bytes: products and rows are computed from the parts.

    `parts` are (matrix, its row for each of the n rows, √weight).
    """

    parts: Sequence[tuple[NDArray[np.float32], NDArray[np.int64], float]]

    ndim = 2
    dtype = np.dtype(np.float32)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self), sum(matrix.shape[1] for matrix, _, _ in self.parts)

    def __len__(self) -> int:
        return len(self.parts[0][1])

    def __matmul__(self, query: NDArray[np.float32]) -> NDArray[np.float32]:
        scores, start = np.zeros(len(self), np.float32), 0
        for matrix, rows, root in self.parts:
            part = query[start : start + matrix.shape[1]]
            scores += root * (matrix @ part)[rows]
            start += matrix.shape[1]
        return scores

    def __getitem__(self, rows: Any) -> NDArray[np.float32]:
        taken = [np.float32(root) * matrix[places[rows]] for matrix, places, root in self.parts]
        return np.concatenate(taken, axis=-1)


def matrix_of(store: Store, space: Space) -> VectorCache:
    """Return the vectors of a space; those of a virtual one are computed from its components."""
    if not space.virtual:
        return store.vectors(space)
    caches = [(store.vectors(part), root) for part, root in components(store, space)]
    common = reduce(np.intersect1d, [sort_key(cache.ids) for cache, _ in caches])
    ids = np.ascontiguousarray(common).view(np.uint8).reshape(-1, ID_BYTES)
    parts = [(cache.matrix, cache.positions(ids), root) for cache, root in caches]
    version, state = max(cache.version for cache, _ in caches), "+".join(cache.identity for cache, _ in caches)
    temporary = any(cache.temporary for cache, _ in caches)
    return VectorCache(ids, FusedMatrix(parts), version, identity=state, temporary=temporary)  # type: ignore[arg-type]


def identity_of(store: Store, space: Space) -> str:
    """Return the identity that `matrix_of` would have now, without reading vectors."""
    parts = [part for part, _ in components(store, space)] if space.virtual else [space]
    return "+".join(identity(store.vectors_table(part)) for part in parts)


def rows(store: Store, space: Space) -> int:
    """Return how many images can be searched in a space: none if a component is no longer what was fused."""
    if not space.virtual:
        return store.vectors_table(space).count()
    try:
        return len(matrix_of(store, space))
    except (FingerprintMismatch, EmptySpace):
        return 0


def components(store: Store, space: Space) -> list[tuple[Space, float]]:
    """Return the component spaces with √weight; raise `FingerprintMismatch` if one is no longer what was fused."""
    found = []
    for name, weight in sorted(space.recipe["weights"].items()):
        part = store.space(name)
        if part.fingerprint != space.recipe["fingerprints"][name]:
            raise FingerprintMismatch(
                f"space {space.name!r} was fused from {name!r} with fingerprint {space.recipe['fingerprints'][name]}, "
                f"which is now {part.fingerprint}",
                f"fuse anew: engine embed --encoder fused --fuse {name} --space NAME",
            )
        found.append((part, float(np.sqrt(weight))))
    return found


def recipe(store: Store, parts: Mapping[str, float | None], *, name: str, virtual: bool) -> Space:
    """Return the fused space of `parts` (space → weight); a weight of None is the inverse of the space's spread.

    A space that is there already keeps its weights: a recipe never changes, though the spread does as images come in.
    Raises `BadInput` for fewer than two components, weights that are not positive, or a mix of given and default ones.
    """
    # Only a new recipe needs it; a search does without the encoders.
    from engine.encoders.base import names_space

    if not names_space(name):
        raise BadInput(f"{name!r} cannot name a space", "use lower-case letters, digits and _")
    if len(parts) < 2:
        raise BadInput(f"a fused space has at least two components, not {len(parts)}", "--fuse clip --fuse resnet")
    given = [weight for weight in parts.values() if weight is not None]
    if given and (len(given) < len(parts) or not all(0 < weight < np.inf for weight in given)):
        raise BadInput("give a positive weight for every component, or for none", "--fuse clip=0.7 --fuse resnet=0.3")
    spaces = {part: store.space(part) for part in sorted(parts)}
    for part in spaces.values():
        if part.encoder == "fused":
            raise BadInput(f"{part.name!r} is itself fused", "fuse its components")
    fingerprints = {part: space.fingerprint for part, space in spaces.items()}
    known = store.spaces().get(name)
    if not given and known is not None and known.recipe.get("fingerprints") == fingerprints:
        weights = known.recipe["weights"]
    else:
        remedy = "give the weights: --fuse clip=0.7 --fuse resnet=0.3"
        weights = normalised({part: parts[part] or 1 / spread(store, spaces[part], remedy=remedy) for part in spaces})
    return fused_space(name, weights, spaces, virtual=virtual)


def automatic(space: Space | None) -> bool:
    """Say whether the space is the fused one that an ingest made, which follows its components, or there is none."""
    return space is None or bool(space.recipe.get("automatic"))


def weighing(space: Space) -> str:
    """Return what a space is fused from, in words."""
    parts = ", ".join(f"{name} {weight:.3f}" for name, weight in space.recipe["weights"].items())
    how = "virtual: scores are added when it is searched" if space.virtual else "stored"
    return f"fused from {parts}; {how}"


def default_recipe(store: Store, spaces: Mapping[str, Space]) -> Space | None:
    """Return the virtual space of CLIP, the CNN and the autoencoder, as far as they are among `spaces`.

    None where there is no autoencoder or nothing beside it, where the name is taken by a recipe of the user's, or where
    it is fused from these very spaces already. Raises `BadInput` for a component without spread.
    """
    known = spaces.get(DEFAULT)
    cnn = next((name for name in CNNS if name in spaces), None)
    names = [name for name in ("clip", cnn, LEARNT) if name in spaces]
    parts = {name: spaces[name] for name in names if name is not None}
    if LEARNT not in parts or len(parts) < 2 or not automatic(known):
        return None
    if known is not None and known.recipe["fingerprints"] == {name: part.fingerprint for name, part in parts.items()}:
        return None
    remedy = "fuse with weights: engine embed --encoder fused --fuse SPACE=WEIGHT"
    weights = normalised({name: 1 / spread(store, part, remedy=remedy) for name, part in parts.items()})
    made = fused_space(DEFAULT, weights, parts, virtual=True)
    return replace(made, recipe={**made.recipe, "automatic": True})


def following(spaces: Mapping[str, Space], moved: Space) -> list[Space]:
    """Return the virtual spaces that the user fused from the one that is now `moved`, with the weights they had."""
    found = []
    for space in spaces.values():
        if space.virtual and moved.name in space.recipe["weights"] and not automatic(space):
            parts = {name: spaces[name] for name in space.recipe["weights"]} | {moved.name: moved}
            found.append(fused_space(space.name, space.recipe["weights"], parts, virtual=True))
    return found


def normalised(raw: Mapping[str, float]) -> dict[str, float]:
    """Return the weights as shares of their sum; raise `BadInput` if one of them counts for nothing."""
    # Of the largest, so that no sum of large ones overflows.
    shares = {part: weight / max(raw.values()) for part, weight in raw.items()}
    # Rounded before use, so that the recipe as it is written gives these very vectors.
    weights = {part: round(share / sum(shares.values()), 6) for part, share in shares.items()}
    if not all(weights.values()):
        raise BadInput(f"a weight below 0.000001 of the sum counts for nothing: {raw}", "leave that component out")
    return weights


def fused_space(name: str, weights: Mapping[str, float], spaces: Mapping[str, Space], *, virtual: bool) -> Space:
    """Return the space of a recipe: weights that sum to 1, and the spaces that they weigh."""
    fingerprints = {part: space.fingerprint for part, space in spaces.items()}
    text = json.dumps({"weights": weights, "fingerprints": fingerprints}, sort_keys=True)
    return Space(
        name,
        hashlib.sha256(text.encode()).hexdigest()[:12],
        sum(space.dim for space in spaces.values()),
        "fused",
        {"weights": weights, "fingerprints": fingerprints, "virtual": virtual},
    )


def spread(store: Store, space: Space, *, remedy: str) -> float:
    """Return the standard deviation of the space's background scores; raise `BadInput` where there is none."""
    width = background(store, space, store.vectors(space)).spread
    if width == 0:
        raise BadInput(
            f"space {space.name!r} has no spread to weigh it by (its vectors are too few or all alike)",
            remedy,
        )
    return width


def fill(store: Store, space: Space) -> int:
    """Write the concatenated vectors of a stored fused space; return how many rows were new."""
    virtual = Space(space.name, space.fingerprint, space.dim, "fused", {**space.recipe, "virtual": True})
    source, table = matrix_of(store, virtual), store.vectors_table(space)
    table.create()
    written = 0
    for start in range(0, len(source), ROWS):
        ids = source.ids[start : start + ROWS]
        rows = source.matrix[np.arange(start, start + len(ids))]
        written += table.merge(vector_rows([one.tobytes() for one in ids], unit(rows, space.name)))
    return written
