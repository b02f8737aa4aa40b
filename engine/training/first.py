"""What an ingest does by itself once a collection is large enough: a short training, and the fused space."""

from __future__ import annotations

from engine import fused
from engine.errors import BadInput, StoreBusy
from engine.ingestion.choose import Skipped
from engine.progress import Progress
from engine.store import Store
from engine.training.autoencoder import KIND, SPACE, train_autoencoder
from engine.training.config import configured

# About ten passes over the pictures, but at least and at most so many steps: seconds for hundreds of photos, half a
# minute for many. `engine train autoencoder` takes more.
EPOCHS, FEWEST, MOST = 10, 100, 500
REMEDY = "engine train autoencoder"


def learn(store: Store, *, workers: int | None = None, progress: Progress) -> tuple[dict[str, str], list[Skipped]]:
    """Train an autoencoder where the store has none, and fuse what is there; return notes on spaces, and what was left.

    Raises `Interrupted` and `DiskFull`; what was done until then is kept.
    """
    before = store.spaces().get(fused.DEFAULT)
    notes: dict[str, str] = {}
    skipped: list[Skipped] = []
    if not any(space.encoder.startswith(f"{KIND}:") for space in store.spaces().values()):
        try:
            config = configured(steps=steps_for(store.images.count()))
            notes[SPACE] = train_autoencoder(store, config, workers=workers, progress=progress).note
        except (BadInput, StoreBusy) as error:
            return {}, [Skipped(KIND, error.message, REMEDY)]
    try:
        made = fused.default_recipe(store, store.spaces())
    except BadInput as error:
        skipped.append(Skipped(fused.DEFAULT, error.message, error.remedy or ""))
        made = None
    if made is not None:
        with store.lock(), store.run("embed", {"spaces": [made.name], "recipe": made.recipe}) as run:
            store.point([made], run.name)
    after = store.spaces().get(fused.DEFAULT)
    if after is not None and after != before:
        notes[fused.DEFAULT] = fused.weighing(after)
    return notes, skipped


def steps_for(images: int) -> int:
    """Return the budget for a collection of so many images."""
    from engine.encoders.autoencoder.training import BATCH

    return min(MOST, max(FEWEST, EPOCHS * images // BATCH))
