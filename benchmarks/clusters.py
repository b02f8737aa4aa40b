"""Clusters: methods on the classes of Caltech-101, and the speed of k-means beside one product of rows and centres."""
