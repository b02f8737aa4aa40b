"""A map as it is drawn: its points, what they are coloured by, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.mapping.maps import Map
from engine.pictures.palette import Groups, Values

TITLES = {"umap": "UMAP", "tsne": "t-SNE", "pca": "PCA"}


@dataclass(frozen=True)
class Drawing:
    """A map with what it is coloured by, in the order in which it is drawn."""

    map: Map
    by: str | None
    colours: Groups | Values | None

    @property
    def title(self) -> str:
        """Return method, space and number of images."""
        one = self.map
        count = f"{len(one):,} of {one.total:,}" if one.sample is not None else f"{len(one):,}"
        return f"{TITLES[one.method]} of space {one.space}, {count} images"

    @property
    def note(self) -> str:
        """Return what else there is to know: the sample, the seed, the neighbours, what it is coloured by."""
        one = self.map
        parts = [f"a random sample: {len(one):,} of {one.total:,} images"] if one.sample is not None else []
        if self.by is not None:
            parts.append(f"coloured by {self.by}")
        if one.graph is not None:
            quality = "" if one.graph["recall"] in (None, 1.0) else f", recall {one.graph['recall']:.3f}"
            parts.append(f"{one.graph['k']} neighbours, {one.graph['kind']}{quality}")
        parts.append(f"seed {one.seed}")
        if one.images > one.total:
            parts.append(f"{one.images - one.total:,} images have no vector in this space")
        return " · ".join(parts)

    def groups(self) -> Groups:
        """Return the group of each point; values are grouped into ranges."""
        if isinstance(self.colours, Values):
            return self.colours.binned()
        return self.colours or Groups(np.zeros(len(self.map), np.int32), ("images",))
