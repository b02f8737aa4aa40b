"""Answers, groups, labels and reports as pictures: what is fetched from the store for `engine.pictures` to draw."""
