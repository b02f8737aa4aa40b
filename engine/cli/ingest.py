"""`engine ingest`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from engine.cli.output import DEFAULT_STORE, JsonOption, StoreOption, emit, human, progress, say, table


def command(
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE...", help="tar, zip, folder, IDX file or pictures.")],
    encoder: Annotated[
        list[str] | None, typer.Option("--encoder", help="Repeatable; none: no vectors. Default: what runs here.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="A local checkpoint for the one --encoder.")] = None,
    space: Annotated[str | None, typer.Option(help="Another name for the space of the one --encoder.")] = None,
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    batch_size: Annotated[int | None, typer.Option(help="Pictures in one forward pass.")] = None,
    workers: Annotated[int | None, typer.Option(help="Decoding processes (default: one a core).")] = None,
    labels: Annotated[Path | None, typer.Option(help="CSV image,label[,split], or IDX labels.")] = None,
    labels_role: Annotated[str, typer.Option(help="given: count as labels; truth: only for evaluation.")] = "given",
    labels_from_folders: Annotated[bool, typer.Option("--labels-from-folders", help="cat/1.jpg is a cat.")] = False,
    split_from_folders: Annotated[bool, typer.Option("--split-from-folders", help="train/… is for training.")] = False,
    vectors: Annotated[list[str] | None, typer.Option("--vectors", help="NAME=FILE: bring your own vectors.")] = None,
    vectors_order: Annotated[
        str, typer.Option(help="Rows of a .npy: member, number, or a file that lists the names.")
    ] = "member",
    max_pixels: Annotated[int | None, typer.Option(help="Reject larger pictures.")] = None,
    retry_rejected: Annotated[bool, typer.Option("--retry-rejected", help="Try what was rejected again.")] = False,
    restore: Annotated[bool, typer.Option("--restore", help="Bring back what was removed.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count and estimate; write nothing.")] = False,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Store every image of the sources with its vectors; what is there already costs nothing."""
    from engine.intake import Request, estimate, intake

    request = Request(
        sources, encoders=encoder, weights=weights, space=space, precision=precision, device=device,
        batch_size=batch_size, workers=workers, labels=labels, labels_role=labels_role,
        labels_from_folders=labels_from_folders, split_from_folders=split_from_folders, vectors=vectors or [],
        vectors_order=vectors_order, max_pixels=max_pixels, retry_rejected=retry_rejected, restore=restore,
    )  # fmt: skip
    with progress() as drawn:
        found = estimate(store, request, progress=drawn) if dry_run else intake(store, request, progress=drawn)
    if json:
        emit(found)
    elif dry_run:
        left = "unknown" if found["seconds"] is None else f"about {found['seconds']:.0f} s"
        print(f"{found['members']} members to ingest ({found['known']} known already), {left}, {human(found['bytes'])}")
    else:
        _show(found)
    raise typer.Exit(1 if found["cut"] else 0)


def _show(found: dict[str, Any]) -> None:
    rate = f", {found['images_per_second']:.0f} images/s" if found["images_per_second"] else ""
    print(
        f"{found['members']} members: {found['images']} images, {found['duplicates']} duplicates, "
        f"{found['rejected']} rejected in {found['seconds']:.1f} s{rate}"
    )
    for reason, number in found["reasons"].items():
        print(f"  {number} rejected: {reason}")
    rows = [
        (name, "ran", f"{one['rows']} vectors, {one['dim']}-d, {one['note']}") for name, one in found["spaces"].items()
    ]
    rows += [(one["encoder"], "did not run", f"{one['reason']}; later: {one['remedy']}") for one in found["skipped"]]
    table(("encoder", "state", "what"), rows)
    for line in found["cut"]:
        say(f"engine: {line}")
