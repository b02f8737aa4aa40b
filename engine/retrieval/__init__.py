"""Answers: a query becomes a vector, a searcher finds its neighbours, by every row or through an index."""
