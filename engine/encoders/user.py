"""The user's own encoder: any class with `space`, `dim` and `encode`."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import re
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from engine.encoders.base import Geometry, Pixels, Vectors, names_space
from engine.encoders.hub import Availability, Hub
from engine.encoders.network import Settings
from engine.errors import BadInput, FingerprintMismatch

EXAMPLE = "a class with space (text), dim (int) and encode(images) -> (n, dim)"


class UserEncoder:
    """Wraps `package.module:Class`, made without arguments at first use, and checks what comes back."""

    def __init__(self, spec: str, *, space: str | None, settings: Settings) -> None:
        self.spec = spec
        self.settings = settings
        self._space = space

    @cached_property
    def _class(self) -> type[Any]:
        module, _, name = self.spec.partition(":")
        if "" not in sys.path and str(Path.cwd()) not in sys.path:
            sys.path.insert(0, str(Path.cwd()))
        try:
            found = getattr(importlib.import_module(module), name)
        except ImportError as error:
            raise BadInput(f"encoder {self.spec!r} cannot be imported: {error}", "run where its module lies") from error
        except AttributeError as error:
            raise BadInput(
                f"module {module!r} has no class {name!r}", "check --encoder package.module:Class"
            ) from error
        if not isinstance(found, type):
            raise BadInput(f"{self.spec!r} is no class", f"give {EXAMPLE}")
        return found

    @cached_property
    def _encoder(self) -> Any:
        try:
            made = self._class()
        except (Exception, SystemExit) as error:  # The user's code may raise anything.
            raise BadInput(
                f"{self.spec}() failed: {type(error).__name__}: {error}", "it is made without arguments"
            ) from error
        missing = [name for name in ("space", "dim", "encode") if not hasattr(made, name)]
        if missing:
            raise BadInput(f"encoder {self.spec!r} lacks {', '.join(missing)}", f"give {EXAMPLE}")
        if not isinstance(made.dim, int) or made.dim < 1:
            raise BadInput(f"encoder {self.spec!r} has dim {made.dim!r}", "dim is a whole number, at least 1")
        expected, actual = self.settings.fingerprint, self._fingerprint(made)
        if expected and actual != expected:
            raise FingerprintMismatch(
                f"space {self._space or made.space!r} has fingerprint {expected}, but {self.spec!r} has {actual}",
                "its source changed since: choose another name (--space NAME)",
            )
        return made

    @property
    def space(self) -> str:
        space = self._space or self._encoder.space
        if not names_space(space):
            raise BadInput(f"encoder {self.spec!r} names its space {space!r}", "use at most 64 of a-z, 0-9, _")
        return space

    @property
    def dim(self) -> int:
        return int(self._encoder.dim)

    @property
    def geometry(self) -> Geometry | None:
        geometry: Geometry | None = getattr(self._encoder, "geometry", None)
        return geometry

    @property
    def fingerprint(self) -> str:
        return self._fingerprint(self._encoder)

    def _fingerprint(self, made: Any) -> str:
        """Return the class's own fingerprint, or one of its source file and name."""
        own = getattr(made, "fingerprint", None)
        if isinstance(own, str) and re.fullmatch(r"[0-9a-f]{12}", own):
            return own
        if own is not None:
            return hashlib.sha256(str(own).encode()).hexdigest()[:12]
        try:
            source = Path(inspect.getfile(self._class)).read_bytes()
        except (OSError, TypeError):
            source = b""
        return hashlib.sha256(source + self._class.__name__.encode()).hexdigest()[:12]

    @property
    def provenance(self) -> dict[str, Any]:
        own = getattr(self._encoder, "provenance", None)
        return {"runtime": "user", "class": self.spec} | (own if isinstance(own, dict) else {})

    @property
    def recipe(self) -> dict[str, Any]:
        """Return the arguments with which `load` makes this encoder again."""
        return {"spec": self.spec, "space": self.space, "weights": None}

    @property
    def note(self) -> str:
        """Return one line: what it runs on."""
        return f"{self.space}: {self.spec}, the user's own"

    def availability(self, *, hub: Hub | None = None) -> Availability:
        """Return whether the class can be imported and made."""
        try:
            self._encoder  # noqa: B018 — making it is the test
        except BadInput as error:
            return Availability(False, error.message, error.remedy)
        return Availability(True, f"class {self.spec}")

    def encode(self, images: Sequence[Pixels] | Pixels) -> Vectors:
        """Return float32 (n, dim); raise `BadInput`, naming the class, for anything else that it gives."""
        encoder = self._encoder
        if self.geometry is not None:
            images = np.asarray(images)
        try:
            # stdout is for answers.
            with redirect_stdout(sys.stderr):
                vectors = np.asarray(encoder.encode(images), dtype=np.float32)
        except (Exception, SystemExit) as error:  # The user's code may raise anything.
            raise BadInput(
                f"{self.spec}.encode failed: {type(error).__name__}: {error}", "run it on its own"
            ) from error
        if vectors.shape != (len(images), self.dim):
            raise BadInput(
                f"{self.spec}.encode gave shape {vectors.shape} for {len(images)} pictures of dim {self.dim}"
            )
        if not np.isfinite(vectors).all():
            raise BadInput(f"{self.spec}.encode gave numbers that are not finite")
        return vectors
