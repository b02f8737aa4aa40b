"""Labels: whose word counts, labels by exemplars and thresholds, their runs, their evaluation, and the way out."""
