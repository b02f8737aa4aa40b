"""`engine embed`."""

from __future__ import annotations

from pathlib import Path

import click

from engine.cli.output import FILE, emit, json_option, progress, store_option


@click.command
@click.option(
    "--encoder", required=True, help="efficientnet_lite0, resnet50, clip, timm:NAME, package.module:Class, fused …"
)
@click.option("--weights", type=FILE, help="A local checkpoint.")
@click.option("--space", help="Another name for the space.")
@click.option("--fuse", multiple=True, help="For --encoder fused: SPACE or SPACE=WEIGHT, repeated.")
@click.option("--stored", is_flag=True, help="Write the fused vectors instead of adding scores.")
@click.option("--precision", default="auto", help="auto, fp32 or bf16.")
@click.option("--device", default="auto", help="auto, cpu, cuda or mps.")
@click.option("--batch-size", type=int, help="Pictures in one forward pass.")
@click.option("--workers", type=int, help="Decoding processes (default: one a core).")
@store_option
@json_option
def command(
    *,
    encoder: str,
    weights: Path | None,
    space: str | None,
    fuse: tuple[str, ...],
    stored: bool,
    precision: str,
    device: str,
    batch_size: int | None,
    workers: int | None,
    store: Path,
    json: bool,
) -> None:
    """Fill a space for images that are stored already.

    What has a vector is not encoded again.
    """
    from engine.errors import BadInput
    from engine.ingestion.fill import fill, fuse_spaces

    if encoder != "fused" and (fuse or stored):
        raise BadInput(f"--fuse and --stored do not go with --encoder {encoder}", "make it --encoder fused")
    with progress() as drawn:
        if encoder == "fused":
            found = fuse_spaces(store, fuse, space=space or "fused", stored=stored)
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
