"""Measurements: figures beside published values, and ratios taken in one run, because machines differ and are shared.

bench.py runs a suite: its jobs (job.py) become result lines, lines become tables and pictures; readme.py writes the
documents' tables from the lines that the project keeps in results/.

suites/      what is measured and how: quality (representations, clustering, retrieval, labels, autoencoder), speed and
             memory (bars, soak, clusters, ingest, memory, start, maps, speed), and duplicates, precisions
peers/       the suite `search`: indexes side by side, ours and others'
datasets/    where published data sets are, and how they are read
subjects/    data set → store → images with classes and splits → vectors of a space
made/        made vectors and stores, of any size
lines/       result lines: written, kept, summed up, beside published values
reports/     tables, pictures and pages from lines
protocol.py  which protocol a line was measured by
machine.py   the processor that a line names; processes.py, what a process takes
"""
