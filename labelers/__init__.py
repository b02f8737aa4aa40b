"""Labelers: vectors and exemplars in, labels with scores out. Arithmetic only; ids and files are somebody else's.

base.py        Labels, Exemplars: what every member takes and gives
scan.py        cosines block by block, scored again in float64 where they decide
nearest.py     the closest exemplar
centroid.py    the mean of a class's exemplars
vote.py        the k closest exemplars vote
propagate.py   label spreading over a kNN graph
agree.py       several spaces must agree
metrics.py     precision, recall, coverage, intervals, curves
separation.py  how well a space separates the labels one has
bootstrap.py   how sure a difference between two spaces is

clusters.py       Clusters: what every clusterer gives; CLUSTERERS
kmeans.py         k-means, plain and spherical
leiden.py         communities of the kNN graph
spectral.py       k-means of the eigenvectors of the kNN graph
agglomerative.py  Ward's hierarchy over the kNN graph
hdbscan.py        dense regions, and noise between them
affinity.py       neighbours weighted by the neighbours that they share
choose_k.py       how many clusters, by the silhouette
cluster_metrics.py  how well clusters agree with the truth: NMI, ARI, purity and others, beside chance
chance.py           the mutual information of two groupings by chance
silhouette.py       how far apart groups of rows lie
"""

from labelers.base import Exemplars, Labels

# Each is a function label(X, exemplars, *, threshold, margin=0.0, ...) -> Labels.
LABELERS = {
    "nearest": "labelers.nearest:label",
    "centroid": "labelers.centroid:label",
    "vote": "labelers.vote:label",
    "propagate": "labelers.propagate:label",
}

__all__ = ["LABELERS", "Exemplars", "Labels"]
