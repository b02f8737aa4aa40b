"""`engine verify`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from engine.cli.output import emit, json_option, progress, say, space_option, store_option


@click.command
@click.option("--bytes", "read_bytes", is_flag=True, help="Read every source again and compare each member's digest.")
@click.option("--repair", is_flag=True, help="Bring back the last good version after a power loss.")
@click.option("--drift", type=int, help="Encode this many stored images again and compare.")
@click.option("--precision", default="auto", help="The precision for --drift: auto, fp32 or bf16.")
@space_option
@store_option
@json_option
def command(
    *, read_bytes: bool, repair: bool, drift: int | None, precision: str, space: str | None, store: Path, json: bool
) -> None:
    """Prove that nothing is lost and nothing is twice.

    Exits with 1 and a list if it is not so.
    """
    from engine.errors import BadInput
    from engine.store import Store
    from engine.verify import drift as measure
    from engine.verify import repair as mend
    from engine.verify import verify

    if drift is not None and drift < 1:
        raise BadInput(f"--drift {drift}", "encode at least one image again: --drift 200")
    opened = Store.open(store)
    if repair:
        for line in mend(opened):
            say(line)
    with progress() as drawn:
        verdict = verify(opened, read_bytes=read_bytes, progress=drawn)
    drifted = measure(opened, drift, space=space, precision=precision) if drift and verdict.ok else None
    if drifted is not None and not drifted.ok:
        verdict.problems.append(
            f"space {drifted.space!r} drifted: lowest cosine {drifted.lowest:.6f} of {drifted.images} images, "
            f"{drifted.required} is required at {drifted.precision}"
        )
    if json:
        counts = {name: getattr(verdict, name) for name in ("members", "images", "duplicates", "rejected", "removed")}
        emit(
            {"ok": verdict.ok, **counts, "spaces": verdict.spaces, "problems": verdict.problems, "notes": verdict.notes,
             "drift": asdict(drifted) if drifted else None}
        )  # fmt: skip
    else:
        print(
            f"{verdict.members} members = {verdict.images} images + {verdict.duplicates} duplicates"
            f" + {verdict.rejected} rejected + {verdict.removed} removed"
        )
        for name, rows in verdict.spaces.items():
            print(f"space {name}: {rows} vectors")
        if drifted is not None:
            print(f"drift in {drifted.space}: lowest cosine {drifted.lowest:.6f} over {drifted.images} images")
        for line in verdict.notes:
            print(f"note: {line}")
        for line in verdict.problems:
            print(f"PROBLEM: {line}")
        print("ok" if verdict.ok else f"not ok: {len(verdict.problems)} problems")
    raise click.exceptions.Exit(0 if verdict.ok else 1)
