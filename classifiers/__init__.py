"""Classifiers over vectors or pixels: `fit`, `predict`, `predict_proba`. Members arrive with `engine train`."""
