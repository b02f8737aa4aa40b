"""The suites of `engine bench`: modules with `jobs(settings, progress)` and `report(rows, settings, progress)`."""

SUITES = {
    "representations": "benchmarks.representations",
    "clustering": "benchmarks.clustering",
    "retrieval": "benchmarks.retrieval",
    "autoencoder": "benchmarks.autoencoder",
    "labels": "benchmarks.labels",
    "clusters": "benchmarks.clusters",
    "search": "benchmarks.peers.suite",
    "bars": "benchmarks.bars",
    "soak": "benchmarks.soak",
    "ingest": "benchmarks.ingest",
    "memory": "benchmarks.memory",
    "start": "benchmarks.start",
    "duplicates": "benchmarks.dedupe",
    "maps": "benchmarks.maps",
    "precisions": "benchmarks.precision",
    "speed": "benchmarks.labels_speed",
}
# What `engine bench all` runs: figures about quality, and the race of the indexes. The others ask how near this project
# comes to what a machine allows; they take hours, or a machine on which nothing else runs.
ALL = ("representations", "clustering", "retrieval", "labels", "search")
