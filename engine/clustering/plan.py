"""What is asked of a clustering, checked before anything is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.clustering.reduce import Reduction
from engine.errors import BadInput
from labelers.clusters import CLUSTERERS, Clusterer, clusterer

OWN = {"leiden": ("resolution",), "hdbscan": ("min_size",)}
# Of the largest number that is compared with that of the images.
DIGITS = 18


@dataclass(frozen=True)
class Plan:
    """A method with its options. `k` None: as many clusters as it finds. What is None is the method's own choice."""

    method: str
    k: int | None = None
    reduce: Reduction | None = None
    seed: int = 0
    resolution: float | None = None
    min_size: int | None = None

    @classmethod
    def of(
        cls,
        method: str,
        k: int | str | None = None,
        *,
        reduce: str | None = None,
        seed: int = 0,
        resolution: float | None = None,
        min_size: int | None = None,
    ) -> Plan:
        """Return the plan that a user's words stand for; raise `BadInput` for what no method understands."""
        if method not in CLUSTERERS:
            raise BadInput(f"unknown method {method!r}", f"use one of {', '.join(CLUSTERERS)}")
        if not 0 <= seed < 2**32:
            raise BadInput(f"the seed is {seed}", "give a number from 0 to 4294967295")
        plan = cls(method, _number(k), Reduction.parse(reduce), seed, resolution, min_size)
        for name in ("resolution", "min_size"):
            if getattr(plan, name) is not None and name not in OWN.get(method, ()):
                owner = next(one for one, names in OWN.items() if name in names)
                raise BadInput(f"{method} has no {name.replace('_', ' ')}", f"leave it out, or use --method {owner}")
        made = plan.clusterer()
        if plan.reduce and plan.reduce.method == "umap" and made.uses_graph:
            raise BadInput(
                f"{method} works on the graph of neighbours, of which UMAP is made too",
                "leave --reduce out, or use --method hdbscan",
            )
        if plan.reduce and plan.reduce.method == "umap" and not made.finds_k and plan.k is None:
            raise BadInput("a UMAP layout has no cosines to choose a number of clusters by", "give one: -k 20")
        return plan

    def clusterer(self) -> Clusterer:
        """Return the method, ready to work."""
        own = {name: getattr(self, name) for name in OWN.get(self.method, ()) if getattr(self, name) is not None}
        try:
            return clusterer(self.method, self.k, seed=self.seed, **own)
        except ValueError as error:
            remedy = "leave -k out" if "itself" in str(error) else "engine cluster --help"
            raise BadInput(str(error), remedy) from None

    def details(self) -> dict[str, Any]:
        """Return what a run remembers of it."""
        return {
            "method": self.method,
            "k": self.k,
            "reduce": str(self.reduce) if self.reduce else None,
            "seed": self.seed,
            "resolution": self.resolution,
            "min_size": self.min_size,
        }


def _number(k: int | str | None) -> int | None:
    if k is None or k == "auto":
        return None
    text = str(k)
    digits = text.lstrip("0")
    if not (text.isascii() and text.isdecimal() and digits):
        raise BadInput(f"-k {k} is no number of clusters", "give a whole number from 1 on, or auto")
    if len(digits) > DIGITS:
        raise BadInput(f"-k {digits[:DIGITS]}... is more clusters than there are images", "ask for fewer")
    return int(digits)
