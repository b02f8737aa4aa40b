"""What an autoencoder learnt, as pictures: losses, reconstructions, nearest neighbours, and maps of its space."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from engine.drawing.hits import thumbnails
from engine.encoders.base import Pixels
from engine.errors import BadInput
from engine.mapping.projections import project
from engine.pictures.grid import Tile, grid
from engine.pictures.losses import Losses, losses
from engine.pictures.palette import Groups
from engine.pictures.scatter import scatter
from engine.retrieval.query import Query
from engine.retrieval.search import search
from engine.scratch import probe
from engine.select import all_labels
from engine.store import Space, Store
from engine.store.durable import disk_full, is_full
from engine.training import models
from engine.training.pictures import square

RECONSTRUCTED, QUERIES, NEAREST = 8, 6, 7
# Images on a map: more of them cover each other.
MAPPED = 5000


def draw_model(store: Store, model: str, space: Space, folder: Path, *, seed: int = 0) -> list[Path]:
    """Write losses, reconstructions, neighbours and two maps as PNG into `folder`, made if need be; return their paths.

    Which pictures are shown is drawn from the `seed`. Raises `BadInput`.
    """
    make_folder(folder)
    about = models.about(store, model)
    ids = store.vectors(space).ids
    shown = ids[np.random.default_rng(seed).permutation(len(ids))[: max(RECONSTRUCTED, QUERIES)]]
    return [
        draw_losses(about, folder / "losses.png"),
        draw_reconstructions(store, about, shown[:RECONSTRUCTED], folder / "reconstructions.png"),
        draw_neighbours(store, space, shown[:QUERIES], folder / "neighbours.png"),
        *draw_maps(store, space, folder, seed=seed),
    ]


def make_folder(folder: Path) -> None:
    """Make the folder for the pictures if need be; raise `BadInput` where none can be written, `DiskFull`."""
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder} is a file", "name a folder: --output DIR")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe(folder)
    except OSError as error:
        if is_full(error):
            raise disk_full(next(one for one in folder.absolute().parents if one.is_dir())) from error
        raise BadInput(
            f"nothing can be written in '{folder}': {error.strerror}", "name a folder of yours: --output DIR"
        ) from error


def draw_losses(about: dict[str, Any], path: Path) -> Path:
    """Draw the losses of a model over its training into a PNG file."""
    history = {name: np.array(values) for name, values in about["history"].items()}
    steps = history["step"]
    panels = [Losses("Squared error of reconstructions", steps, history["train_mse"], history["mse"])]
    if about["classes"]:
        panels.append(Losses("Both losses, weighed", steps, history["train_loss"], history["loss"]))
    title = f"Model {about['model']}: {about['images']} pictures at {about['side']} px, {about['held']} held out"
    return losses(panels, path, best=about["best_step"], title=title)


def draw_reconstructions(store: Store, about: dict[str, Any], ids: NDArray[np.uint8], path: Path) -> Path:
    """Draw pictures as the network sees them, below each what came out of it, into a PNG file."""
    from engine.encoders.autoencoder.inference import Reconstructor
    from engine.encoders.autoencoder.network import geometry

    found = thumbnails(store, [one.tobytes() for one in ids])
    seen = [square(data, geometry(about["side"])) for data in found.values()]
    before = np.array([one for one in seen if one is not None])
    network = Reconstructor(models.weights(store, about["model"]), side=about["side"], classes=len(about["classes"]))
    after = network.reconstructed(before)
    errors = ((before / 255.0 - after / 255.0) ** 2).mean(axis=(1, 2, 3))
    tiles = [_tile(one, "original", "") for one in before]
    tiles += [
        _tile(one, "reconstructed", f"squared error {error:.4f}") for one, error in zip(after, errors, strict=True)
    ]
    title = f"Model {about['model']}: originals and reconstructions at {about['side']} px"
    return grid(tiles, path, columns=len(before), title=title)


def _tile(pixels: Pixels, caption: str, detail: str) -> Tile:
    return Tile(Image.fromarray(pixels), caption, detail)


def draw_neighbours(store: Store, space: Space, ids: NDArray[np.uint8], path: Path) -> Path:
    """Draw some images, each with its nearest others in the space, a row each, into a PNG file."""
    tiles = [tile for one in ids for tile in _row(store, space, one.tobytes())]
    title = f"Nearest in space {space.name}, by cosine"
    return grid(tiles, path, columns=1 + NEAREST, title=title)


def _row(store: Store, space: Space, image: bytes) -> Iterator[Tile | None]:
    answer = search(store, Query(names=[f"id:{image.hex()}"]), space=space.name, k=1 + NEAREST)
    pictures = thumbnails(store, [hit.id for hit in answer.hits])
    hits = sorted(answer.hits, key=lambda hit: hit.id != image)[: 1 + NEAREST]
    for place, hit in enumerate(hits):
        caption = f"{hit.score:.3f}  {hit.label or ''}".rstrip() if place else "query"
        yield Tile(pictures.get(hit.id), hit.name, caption, accent=not place)
    yield from [None] * (1 + NEAREST - len(hits))


def draw_maps(store: Store, space: Space, folder: Path, *, seed: int = 0) -> list[Path]:
    """Draw t-SNE and UMAP of a space, coloured by the labels that count, as tsne.png and umap.png in `folder`.

    Of many images a sample that the `seed` draws is laid out.
    """
    vectors = store.vectors(space)
    rows = np.sort(np.random.default_rng(seed).permutation(len(vectors))[:MAPPED])
    said = all_labels(store).to_pydict()
    labels = dict(zip(said["id"], said["label"], strict=True))
    groups = Groups.of([labels.get(one.tobytes()) for one in vectors.ids[rows]])
    note = f"{len(rows)} of {len(vectors)} images, seed {seed}; coloured by the labels that count"
    return [
        scatter(
            project(np.asarray(vectors.matrix[rows]), method=method, seed=seed), folder / f"{method}.png",
            title=f"{name} of space {space.name}", note=note, by=groups,
        )
        for method, name in (("tsne", "t-SNE"), ("umap", "UMAP"))
    ]  # fmt: skip
