"""Clusters: found, kept as runs, measured, shown, named, compared and exported."""
