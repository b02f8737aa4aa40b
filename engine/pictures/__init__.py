"""Pictures of answers. `grid` draws tiles with captions into one PNG."""

from __future__ import annotations
