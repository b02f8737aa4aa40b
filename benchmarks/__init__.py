"""Measurements: figures beside published values, and ratios taken in one run, because machines differ and are shared.

suites.py      the suites; bench.py runs one: jobs (job.py) → lines (results.py) → means (summary.py) → tables
               (report.py) → Markdown and HTML (page.py)
protocol.py    which protocol a line was measured by
published.py   published values with their sources
datasets/      data sets: where they are, how they are read
stores.py, subject.py, views.py, survey.py
               data set → store → images with classes and splits → vectors of a space → jobs
spaces.py      the spaces: pixels.py without a network, networks, what the store has
leakage.py     near duplicates across splits
representations.py, clustering.py, clusterer.py
               clusters beside classes: of every space, by every method
clusters.py, scale.py
               clusters at scale: seconds and memory of each method, in a process of its own
chart.py       means, chance and published values as a picture
kept.py        the lines in results/, which the project keeps; readme.py writes the documents' tables from them:
               quality_tables.py, speed_tables.py, peers/table.py
machine.py     the processor that a line names
retrieval.py   pictures as queries
labels.py      labels from exemplars
peers/         indexes side by side
bars.py        ratios to what the machine allows
soak.py        growth of the commands with n
measures.py    what the following share
ingest.py      an ingest beside the bare decoder and the bare model
memory.py      the peak memory of an ingest, small and large collection side by side
start.py       a search in a fresh process at 100,000 × 512
dedupe.py      near duplicates: precision and recall of pairs of altered photos, per threshold
precision.py   fp32 beside bf16 and OpenVINO beside torch, on real photos
labels_speed.py  labels from exemplars beside one pass over memory; the memory of label spreading
"""
