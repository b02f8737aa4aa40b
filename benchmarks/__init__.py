"""Measurements: ratios taken in one run, because machines differ and are shared.

ingest.py     an ingest beside the bare decoder and the bare model
memory.py     the peak memory of an ingest, small and large collection side by side
search.py     a search in a fresh process at 100,000 × 512
dedupe.py     near duplicates: precision and recall of pairs of altered photos, per threshold
precision.py  fp32 beside bf16 and OpenVINO beside torch, on real photos
labels_speed.py  labels from exemplars beside one pass over memory; the memory of label spreading
peers/        indexes side by side: `engine bench search`
bars.py       ratios to what the machine allows: `engine bench bars`
soak.py       growth of the commands with n: `engine bench soak`
"""
