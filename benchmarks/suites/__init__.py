"""The suites of `engine bench`: modules with `jobs(settings, progress)` and `report(rows, settings, progress)`."""

SUITES = {
    "representations": "benchmarks.suites.representations",
    "clustering": "benchmarks.suites.clustering",
    "retrieval": "benchmarks.suites.retrieval",
    "autoencoder": "benchmarks.suites.autoencoder",
    "labels": "benchmarks.suites.labels",
    "clusters": "benchmarks.suites.clusters",
    "search": "benchmarks.peers.suite",
    "bars": "benchmarks.suites.bars",
    "soak": "benchmarks.suites.soak",
    "ingest": "benchmarks.suites.ingest",
    "memory": "benchmarks.suites.memory",
    "start": "benchmarks.suites.start",
    "duplicates": "benchmarks.suites.duplicates",
    "maps": "benchmarks.suites.maps",
    "precisions": "benchmarks.suites.precisions",
    "speed": "benchmarks.suites.speed",
}
# What `engine bench all` runs: figures about quality, and the race of the indexes. The others ask how near this project
# comes to what a machine allows; they take hours, or a machine on which nothing else runs.
ALL = ("representations", "clustering", "retrieval", "labels", "search")
