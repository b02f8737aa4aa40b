"""Labelers: vectors and exemplars in, labels with scores out. Arithmetic only; members arrive with `engine label`."""
