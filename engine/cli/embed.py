"""`engine embed`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.output import DEFAULT_STORE, JsonOption, StoreOption, emit, progress


def command(
    encoder: Annotated[str, typer.Option(help="efficientnet_lite0, resnet50, clip, timm:NAME, package.module:Class …")],
    weights: Annotated[Path | None, typer.Option(help="A local checkpoint.")] = None,
    space: Annotated[str | None, typer.Option(help="Another name for the space.")] = None,
    fuse: Annotated[
        list[str] | None, typer.Option("--fuse", help="For --encoder fused: SPACE or SPACE=WEIGHT, repeated.")
    ] = None,
    stored: Annotated[bool, typer.Option("--stored", help="Write the fused vectors instead of adding scores.")] = False,
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    batch_size: Annotated[int | None, typer.Option(help="Pictures in one forward pass.")] = None,
    workers: Annotated[int | None, typer.Option(help="Decoding processes (default: one a core).")] = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Fill a space for images that are stored already; what has a vector is not encoded again."""
    from engine.errors import BadInput
    from engine.intake import fill, fuse_spaces

    if encoder != "fused" and (fuse or stored):
        raise BadInput(f"--fuse and --stored do not go with --encoder {encoder}", "make it --encoder fused")
    with progress() as drawn:
        if encoder == "fused":
            found = fuse_spaces(store, fuse or [], space=space or "fused", stored=stored)
        else:
            found = fill(
                store, encoder, weights=weights, space=space, precision=precision, device=device,
                batch_size=batch_size, workers=workers, progress=drawn,
            )  # fmt: skip
    if json:
        emit(found)
        return
    for name, one in found["spaces"].items():
        print(
            f"space {name}: {found['images']} vectors new, {one['rows']} in all, {one['dim']}-d "
            f"in {found['seconds']:.1f} s"
        )
        print(f"  {one['note']}")
