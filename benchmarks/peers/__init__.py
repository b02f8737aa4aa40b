"""Peers: the indexes of this project beside others on the same vectors, in one run, on one thread, in turns.

base.py      what a competitor is
*_peer.py    one competitor a file
vectors.py   data set → rows, held-out queries, exact answers
worker.py    a competitor in a process of its own
race.py      turns → raw lines
metrics.py   raw lines → recall, latency, rate
report.py    metrics → Markdown
table.py     kept result lines → the documents' table
plot.py      metrics → PNG
suite.py     all of it
"""

# A competitor's name → its class. What is not installed has a row that says so.
PEERS = {
    "numpy": "benchmarks.peers.numpy_peer:NumPyPeer",
    "engine exact": "benchmarks.peers.engine_peer:ExactPeer",
    "engine flat": "benchmarks.peers.engine_peer:FlatPeer",
    "engine flat16": "benchmarks.peers.engine_peer:Flat16Peer",
    "engine hnsw": "benchmarks.peers.engine_peer:HNSWPeer",
    "engine ivf": "benchmarks.peers.engine_peer:IVFPeer",
    "engine ivf sq8": "benchmarks.peers.engine_peer:IVFSQ8Peer",
    "engine pq": "benchmarks.peers.engine_peer:PQPeer",
    "engine ivfpq": "benchmarks.peers.engine_peer:IVFPQPeer",
    "lancedb flat": "benchmarks.peers.lancedb_peer:LanceFlatPeer",
    "lancedb ivf_pq": "benchmarks.peers.lancedb_peer:LanceIVFPQPeer",
    "lancedb ivf_hnsw_sq": "benchmarks.peers.lancedb_peer:LanceIVFHNSWPeer",
    "hnswlib": "benchmarks.peers.hnswlib_peer:HnswlibPeer",
    "usearch": "benchmarks.peers.usearch_peer:USearchPeer",
    "scikit-learn": "benchmarks.peers.sklearn_peer:SklearnPeer",
}
