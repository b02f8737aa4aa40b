"""Spawned processes that hash, decode, resize and make thumbnails while the model runs.

Bytes go in and pixels come back through shared memory that belongs to no file system path, so that nothing is left
behind when everything is killed. A picture that takes its decoder process down is found and rejected; the run goes on.

task.py    what a process is asked to do, and does
worker.py  Worker: one process, seen from the parent
feeder.py  Feeder: the thread that reads a source and hands chunks out
pool.py    DecodePool, Chunk: all processes together
"""

from engine.workers.pool import Chunk, DecodePool
from engine.workers.task import Decoded

__all__ = ["Chunk", "DecodePool", "Decoded"]
