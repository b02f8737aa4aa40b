"""Several spaces in one query: `clip=0.7,resnet=0.3`, with scores on comparable scales."""

from __future__ import annotations

from engine.errors import BadInput
from engine.fused import fused_space, normalised, spread
from engine.store import Space, Store


def searched_space(store: Store, named: str | None) -> Space:
    """Return the space that `named` says: the default one, one by name, or several as a virtual fused one.

    Of several, each weight is divided by the spread of the space's background, so that a space whose cosines lie
    further apart does not count for more, and the quotients are normalised to a sum of 1. These weigh the cosines, are
    written in the name of the space, and make its fingerprint. (Score normalisation before a weighted sum: Shaw & Fox,
    "Combination of multiple searches", TREC-2, 1994; by the spread: Montague & Aslam, CIKM 2001.)
    Raises `EmptySpace` for an unknown space, `BadInput` for one that is named twice or is itself fused, and for weights
    that are not positive.
    """
    if named is None or not {",", "="} & set(named):
        return store.space(named)
    weights = _parsed(named)
    spaces = {name: store.space(name) for name in sorted(weights)}
    for name, space in spaces.items():
        if space.encoder == "fused":
            raise BadInput(f"--space {named}: {name!r} is itself fused", "name its components")
    effective = normalised(
        {
            name: weights[name] / spread(store, space, remedy="search the others without it")
            for name, space in spaces.items()
        }
    )
    title = " + ".join(f"{weight:g} {name}" for name, weight in effective.items())
    return fused_space(title, effective, spaces, virtual=True)


def _parsed(named: str) -> dict[str, float]:
    parts = [part.partition("=") for part in named.split(",")]
    names = [name.strip() for name, _, _ in parts]
    given = [weight for _, equals, weight in parts if equals]
    remedy = "--space clip=0.7,resnet=0.3 or, for equal weights, --space clip,resnet"
    if len(set(names)) < len(names) or not all(names):
        raise BadInput(f"--space {named} does not name each space once", remedy)
    if len(names) < 2 or len(given) not in (0, len(names)):
        raise BadInput(f"--space {named} needs two or more spaces, and a weight for each or for none", remedy)
    try:
        weights = [float(weight) for weight in given] or [1.0] * len(names)
    except ValueError:
        raise BadInput(f"--space {named} has a weight that is no number", remedy) from None
    if not all(0 < weight < float("inf") for weight in weights):
        raise BadInput(f"--space {named} has a weight that is not positive", remedy)
    # As shares of the largest: divided by a spread, a larger one could be no number any more.
    return {name: weight / max(weights) for name, weight in zip(names, weights, strict=True)}
