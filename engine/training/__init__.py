"""Models learnt from the store: pictures or vectors out of it, a training, and what was learnt back into it."""
