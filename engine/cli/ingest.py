"""`engine ingest`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from engine.cli.output import FILE, counted, emit, human, json_option, progress, say, store_option, table


@click.command
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option("--encoder", multiple=True, help="Repeatable; none: no vectors. Default: what this machine can run.")
@click.option("--weights", type=FILE, help="A local checkpoint for the one --encoder.")
@click.option("--space", help="Another name for the space of the one --encoder.")
@click.option("--no-autoencoder", is_flag=True, help="Neither train an autoencoder nor run the one that is there.")
@click.option("--precision", default="auto", help="auto, fp32 or bf16.")
@click.option("--device", default="auto", help="auto, cpu, cuda or mps.")
@click.option("--batch-size", type=int, help="Pictures in one forward pass.")
@click.option("--workers", type=int, help="Decoding processes (default: one a core).")
@click.option("--labels", type=FILE, help="CSV image,label[,split], or IDX labels.")
@click.option("--labels-role", default="given", help="given: count as labels; truth: only for evaluation.")
@click.option("--labels-from-folders", is_flag=True, help="cat/1.jpg is a cat.")
@click.option("--split-from-folders", is_flag=True, help="train/… is for training.")
@click.option("--vectors", multiple=True, help="NAME=FILE: bring your own vectors.")
@click.option("--vectors-order", default="member", help="Rows of a .npy: member, number, or a file of names.")
@click.option("--max-pixels", type=int, help="Reject larger pictures.")
@click.option("--retry-rejected", is_flag=True, help="Try what was rejected again.")
@click.option("--restore", is_flag=True, help="Bring back what was removed.")
@click.option("--dry-run", is_flag=True, help="Count and estimate; write nothing.")
@store_option
@json_option
def command(
    *,
    sources: tuple[str, ...],
    encoder: tuple[str, ...],
    weights: Path | None,
    space: str | None,
    no_autoencoder: bool,
    precision: str,
    device: str,
    batch_size: int | None,
    workers: int | None,
    labels: Path | None,
    labels_role: str,
    labels_from_folders: bool,
    split_from_folders: bool,
    vectors: tuple[str, ...],
    vectors_order: str,
    max_pixels: int | None,
    retry_rejected: bool,
    restore: bool,
    dry_run: bool,
    store: Path,
    json: bool,
) -> None:
    """Store every image of the sources with its vectors.

    What is there already costs nothing; what was killed goes on where it was.
    """
    from engine.ingestion.intake import estimate, intake
    from engine.ingestion.request import Request

    asked = Request(
        sources, encoders=encoder or None, weights=weights, space=space, precision=precision, device=device,
        batch_size=batch_size, workers=workers, labels=labels, labels_role=labels_role,
        labels_from_folders=labels_from_folders, split_from_folders=split_from_folders, vectors=vectors,
        vectors_order=vectors_order, max_pixels=max_pixels, retry_rejected=retry_rejected, restore=restore,
        autoencoder=not no_autoencoder,
    )  # fmt: skip
    with progress() as drawn:
        found = estimate(store, asked, progress=drawn) if dry_run else intake(store, asked, progress=drawn)
    if json:
        emit(found)
    elif dry_run:
        left = "unknown" if found["seconds"] is None else f"about {found['seconds']:.0f} s"
        print(f"{found['members']} members to ingest ({found['known']} known already), {left}, {human(found['bytes'])}")
    else:
        _show(found)
    raise click.exceptions.Exit(1 if found["cut"] else 0)


def _show(found: dict[str, Any]) -> None:
    rate = (
        f", {found['images_per_second']:.0f} images/s once the network was loaded" if found["images_per_second"] else ""
    )
    print(
        f"{counted(found['members'], 'member')}: {counted(found['images'], 'image')}, "
        f"{counted(found['duplicates'], 'duplicate')}, "
        f"{found['rejected']} rejected in {found['seconds']:.1f} s{rate}"
    )
    for reason, number in found["reasons"].items():
        print(f"  {number} rejected: {reason}")
    if found["restored"]:
        print(f"  {counted(found['restored'], 'member')} restored")
    if found["labels"]:
        print(f"  {counted(found['labels'], 'label')} new")
    rows = [(name, "ran" if one["note"] else "was complete", _what(one)) for name, one in found["spaces"].items()]
    rows += [(one["encoder"], "did not run", _why(one)) for one in found["skipped"]]
    table(("encoder", "state", "what"), rows)
    for line in found["lacking"]:
        say(f"note: {line}")
    for line in found["cut"]:
        say(f"engine: {line}")


def _why(skipped: dict[str, Any]) -> str:
    """Return in a few words why an encoder did not run; the command that it names says all of it."""
    reason, command = (skipped[name].partition(", ")[0] for name in ("reason", "remedy"))
    return f"{reason}; later: {command}" if command else reason


def _what(space: dict[str, Any]) -> str:
    vectors = f"{counted(space['rows'], 'vector')}, {space['dim']}-d"
    return f"{vectors}, {space['note']}" if space["note"] else vectors
