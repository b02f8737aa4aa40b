"""Settings that FAISS keeps for the whole process, changed for one piece of work and put back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def threads_for(queries: int) -> Iterator[None]:
    """Run one query on one thread, which no second one makes faster, and more on all that are allowed."""
    import faiss

    before = faiss.omp_get_max_threads()
    if queries == 1:
        faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


@contextmanager
def matrix_products_from(queries: int, dim: int) -> Iterator[None]:
    """Compare that many queries or more by matrix products; FAISS waits for queries × dim ≥ 128,000."""
    import faiss

    before = faiss.cvar.distance_compute_blas_threshold
    faiss.cvar.distance_compute_blas_threshold = queries * dim
    try:
        yield
    finally:
        faiss.cvar.distance_compute_blas_threshold = before
