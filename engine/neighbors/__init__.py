"""The graph of each image's nearest others, and what comes from it: groups of near duplicates."""
