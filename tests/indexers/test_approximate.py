"""Members built on FAISS, on enough rows that they are built: recall against the exact index, and all else exact."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from indexers import index_class
from indexers.exact import ExactIndex
from indexers.faiss_index import FEW_ROWS
from indexers.hnsw import HNSWParams
from indexers.ivf import IVFParams
from indexers.ivfpq import IVFPQParams
from indexers.metrics import recall
from indexers.pq import PQParams
from tests.indexers.vectors import Lazy, assert_same, clustered, oracle, some, unit

ROWS, DIM = 3600, 34
X, Q = clustered(ROWS, DIM)
TRUTH = ExactIndex(X).search(Q, 10)
# Kind, parameters, and the recall@10 at the default effort that it must not fall below.
MEMBERS = {
    "flat": ("flat", None, 1.0),
    "flat16": ("flat16", None, 0.999),
    "hnsw-fp16": ("hnsw", HNSWParams(8, 40), 0.97),
    "hnsw-fp32": ("hnsw", HNSWParams(8, 40, "fp32"), 0.97),
    "ivf-fp32": ("ivf", IVFParams(32), 0.97),
    "ivf-sq8": ("ivf", IVFParams(32, "sq8"), 0.97),
    # 34 is no multiple of 4: the last code stands for 2 dimensions.
    "pq": ("pq", PQParams(4), 0.97),
    "ivfpq": ("ivfpq", IVFPQParams(64), 0.97),
    # So few rows train no more lists than that; the centres are then compared one by one.
    "ivfpq-few": ("ivfpq", IVFPQParams(4), 0.97),
}
BUILT = sorted(MEMBERS.keys() - {"flat"})


def make(member: str, *parts):
    kind, params, _ = MEMBERS[member]
    index = index_class(kind)() if params is None else index_class(kind)(params)
    for part in parts:
        index.add(part)
    return index


@pytest.fixture(scope="module")
def built():
    return {member: make(member, X) for member in MEMBERS}


@pytest.fixture(params=sorted(MEMBERS))
def member(request) -> str:
    return request.param


def assert_true_scores(found, queries, rows=X):
    """Scores are cosines of the rows named, best first, and no row is named twice."""
    for one, q in zip(found, queries, strict=True):
        cosines = rows[one.positions].astype(np.float64) @ q.astype(np.float64)
        np.testing.assert_allclose(one.scores, cosines, atol=1e-13)
        assert (np.diff(one.scores) <= 0).all()
        assert len(set(one.positions.tolist())) == len(one)


def test_recall_has_a_floor(built, member):
    found = built[member].search(Q, 10)
    assert recall(found, TRUTH, 10) >= MEMBERS[member][2]
    assert_true_scores(found, Q)


def test_one_query_finds_what_many_find(built, member):
    together = built[member].search(Q, 10)
    alone = [built[member].search(q[None], 10)[0] for q in Q]
    assert recall(alone, together, 10) > 0.99


@pytest.mark.parametrize("share", [2, 3, 50])
def test_masked_rows_are_never_answered(built, member, share):
    keep = np.arange(ROWS) % share == 0
    found = built[member].search(Q, 10, keep=keep)
    assert all(keep[one.positions].all() and len(one) == 10 for one in found)
    assert recall(found, ExactIndex(X).search(Q, 10, keep=keep), 10) >= 0.95
    assert_true_scores(found, Q)


def test_a_mask_that_leaves_the_far_side_only_still_answers_k(built, member):
    """What is kept lies in other lists and far across the graph; every query gets its best all the same."""
    keep = X @ Q[0] < np.median(X @ Q[0])
    found = built[member].search(Q[:1], 10, keep=keep)
    assert len(found[0]) == 10
    assert keep[found[0].positions].all()


def test_k_beyond_what_is_proposed_is_answered_exactly(built, member):
    for k in (ROWS, ROWS + 7):
        found = built[member].search(Q[:1], k)[0]
        assert_same(found, oracle(X, Q[0]))


def test_appended_rows_are_found(member):
    index = make(member, X[:3000], X[3000:])
    assert [one.positions[0] for one in index.search(X[2990:3010], 3)] == list(range(2990, 3010))
    assert recall(index.search(Q, 10), TRUTH, 10) >= MEMBERS[member][2] - 0.02


def test_few_rows_are_compared_until_there_are_enough(member):
    index = make(member, X[: FEW_ROWS // 2])
    assert_same(index.search(Q[:1], 10)[0], oracle(X[: FEW_ROWS // 2], Q[0], 10))
    index.add(X[FEW_ROWS // 2 :])
    assert recall(index.search(Q, 10), TRUTH, 10) >= MEMBERS[member][2] - 0.02


def test_saved_and_loaded_it_answers_the_same_and_can_grow(built, member, tmp_path):
    built[member].save(tmp_path / "index")
    loaded = type(built[member]).load(tmp_path / "index", X)
    for one, other in zip(built[member].search(Q, 10), loaded.search(Q, 10), strict=True):
        assert one.positions.tolist() == other.positions.tolist()
        assert one.scores.tolist() == other.scores.tolist()
    more = some(20, DIM, seed=9)
    loaded.add(more)
    assert [one.positions[0] for one in loaded.search(more, 1)] == list(range(ROWS, ROWS + 20))
    loaded.save(tmp_path / "grown")
    grown = type(loaded).load(tmp_path / "grown", np.concatenate([X, more]))
    assert [one.positions[0] for one in grown.search(more, 1)] == list(range(ROWS, ROWS + 20))
    again = type(loaded).load(tmp_path / "index", X)
    assert again.search(X[:1], 1)[0].positions.tolist() == [0]


def test_rows_behind_those_indexed_wait_until_they_are_added(member, tmp_path):
    index = make(member, X[:3000])
    index.save(tmp_path)
    loaded = type(index).load(tmp_path, X)
    assert max(one.positions.max() for one in loaded.search(Q, 10)) < 3000
    assert loaded.search(X[3500:3501], 1, keep=np.ones(3000, bool))[0].positions[0] < 3000
    loaded.add(X[3000:])
    assert loaded.search(X[3500:3501], 1)[0].positions[0] == 3500


def test_a_file_that_is_cut_short_is_refused(built, tmp_path):
    for name in BUILT:
        built[name].save(tmp_path / name)
        file = tmp_path / name / "index.faiss"
        whole = file.read_bytes()
        for size in (0, 1, 100, len(whole) // 2, len(whole) - 1):
            file.write_bytes(whole[:size])
            with pytest.raises(ValueError, match="damaged"):
                type(built[name]).load(tmp_path / name, X)
        file.unlink()
        with pytest.raises(ValueError, match="cannot be read"):
            type(built[name]).load(tmp_path / name, X)


@pytest.mark.parametrize("name", BUILT)
def test_a_damaged_file_is_refused_or_answers_true_scores(built, name, tmp_path):
    """In a process of its own: what is wrong here ends a process."""
    built[name].save(tmp_path)
    np.save(tmp_path / "X.npy", X)
    code = f"""
import numpy as np
from pathlib import Path
from indexers import index_class
X = np.load("X.npy")
file = Path("index.faiss")
whole = bytearray(file.read_bytes())
rng = np.random.default_rng(0)
refused = 0
for place in [0, 4, 9, 30, *rng.integers(0, len(whole), 20)]:
    damaged = bytearray(whole)
    damaged[place : place + 16] = rng.bytes(len(damaged[place : place + 16]))
    file.write_bytes(damaged)
    try:
        found = index_class({MEMBERS[name][0]!r}).load(".", X).search(X[:20], 10)
        for one, q in zip(found, X, strict=False):
            np.testing.assert_allclose(one.scores, X[one.positions].astype(float) @ q.astype(float), atol=1e-13)
    except ValueError as error:
        refused += "damaged" in str(error)
print(refused >= 4)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=_environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "True"), done.stderr


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


@pytest.mark.parametrize("params", ['{"m": -3}', '{"m": "8"}', '{"nothing": 1}', '{"storage": "fp8"}', "[]"])
def test_parameters_that_cannot_be_are_refused_at_load(built, params, tmp_path):
    built["hnsw-fp16"].save(tmp_path)
    head = tmp_path / "index.json"
    text = head.read_text()
    head.write_text(text[: text.index('"params": ') + 10] + params + text[text.index(', "rows"') :])
    with pytest.raises(ValueError, match=r"m is|storage is|does not know|no whole"):
        type(built["hnsw-fp16"]).load(tmp_path, X)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: IVFParams(0),
        lambda: IVFParams(4, "fp8"),
        lambda: PQParams(0),
        lambda: HNSWParams(m=1),
        lambda: IVFPQParams(0),
        lambda: IVFPQParams(4, 0),
    ],
)
def test_parameters_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        wrong()


def test_a_row_that_is_not_finite_is_refused_and_leaves_the_index_as_it_was(member):
    bad = X.copy()
    bad[2345, 3] = np.nan
    with pytest.raises(ValueError, match="vector 2345 is not finite"):
        make(member, bad).search(Q, 10)
    if member in BUILT:
        index = make(member, X)
        with pytest.raises(ValueError, match="vector 2345 is not finite"):
            index.add(bad)
        assert recall(index.search(Q, 10), TRUTH, 10) >= MEMBERS[member][2]


def test_a_view_is_read_in_blocks(member):
    many, _ = clustered(8500, DIM)
    view = Lazy(many)
    index = make(member, view)
    assert recall(index.search(Q, 10), ExactIndex(many).search(Q, 10), 10) >= MEMBERS[member][2] - 0.02
    assert view.largest <= 8192


@pytest.mark.parametrize(
    "form", [np.asfortranarray, lambda X: X.astype(np.float64), lambda X: np.repeat(X, 2, 1)[:, ::2]]
)
def test_other_layouts_answer_as_well(member, form):
    found = make(member, form(X)).search(form(Q), 10)
    assert recall(found, TRUTH, 10) >= MEMBERS[member][2]
    assert_true_scores(found, Q)


def test_duplicates_are_found_together(member):
    rows = np.concatenate([X, np.tile(X[:1], (5, 1))])
    found = make(member, rows).search(X[:1], 6)[0]
    assert found.positions.tolist() == [0, *range(ROWS, ROWS + 5)]


def test_more_ties_than_flat_looks_at_are_cut_in_order():
    rows = np.concatenate([X, np.tile(unit(Q[:1]), (100, 1))])
    index = make("flat", rows)
    for queries in (Q[:1], Q[:1], Q):
        assert index.search(queries, 5)[0].positions.tolist() == list(range(ROWS, ROWS + 5))


def test_flat_ranges_are_those_of_the_exact_index():
    keep = np.arange(ROWS) % 3 > 0
    for queries in (Q[:1], Q):
        for mask in (None, keep):
            for one, other in zip(
                make("flat", X[:100], X[100:]).range_search(queries, 0.5, keep=mask),
                ExactIndex(X).range_search(queries, 0.5, keep=mask),
                strict=True,
            ):
                assert len(one) > 0
                assert one.positions.tolist() == other.positions.tolist()
                assert one.scores.tolist() == other.scores.tolist()


def test_a_flat_range_keeps_a_score_on_the_threshold_for_many_queries():
    on = float(TRUTH[0].scores[4])
    assert make("flat", X).range_search(Q, on)[0].positions.tolist() == TRUTH[0].positions[:5].tolist()
    assert len(make("flat", X).range_search(Q, float(np.nextafter(on, 2)))[0]) == 4


def test_recall_grows_with_effort(built):
    for name in ("hnsw-fp16", "ivf-fp32", "ivf-sq8", "pq", "ivfpq"):
        index = built[name]
        least, most = index.efforts()[0], index.efforts()[-1]
        found = [recall(index.search(Q, 10, effort=effort), TRUTH, 10) for effort in (least, most)]
        assert found[0] <= found[1]
        assert found[1] >= 0.999


def test_settings_of_faiss_are_put_back(built):
    import faiss

    before = (faiss.omp_get_max_threads(), faiss.cvar.distance_compute_blas_threshold)
    for name in MEMBERS:
        built[name].search(Q[:1], 3)
        built[name].search(Q, 3)
    assert (faiss.omp_get_max_threads(), faiss.cvar.distance_compute_blas_threshold) == before


def test_importing_indexers_does_not_import_faiss():
    code = "import sys, indexers.exact, indexers.flat, indexers.choose, indexers.tune; print('faiss' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env=_environment(), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_many_centres_are_found_by_their_codes_and_filled_with_care(capfd):
    """300 lists: a row lies in the list of its nearest centre, and nearly all queries look into theirs."""
    many, _ = clustered(12_000, DIM, clusters=300)
    index = index_class("ivfpq")(IVFPQParams(300))
    index.add(many)
    assert "".join(capfd.readouterr()) == "", "FAISS warns of the few centres that codes are trained on"
    found = index.search(many[:200], 1, effort=2)
    assert sum(int(one.positions[0]) == row for row, one in enumerate(found)) >= 195
    index.add(many[:300])
    doubled = index.search(many[:300], 2, effort=2)
    assert sum(one.positions.tolist() == [row, 12_000 + row] for row, one in enumerate(doubled)) >= 290
