"""What the labels table says, counted."""

from __future__ import annotations

from typing import Any

from engine.labeling.labels import TRUTH, label_runs
from engine.labeling.precedence import LABELS, STANDING
from engine.members import first_names
from engine.select import conflicts, connect
from engine.store import Store
from engine.store.table import steady

SHOWN = 5
COUNTED = f"SELECT label, count(*) FROM ({LABELS}) GROUP BY label ORDER BY label"
SAID = f"""
    SELECT label, CASE WHEN polarity THEN source ELSE 'not' END AS source, count(DISTINCT id)
    FROM ({STANDING} SELECT * FROM standing) GROUP BY ALL ORDER BY ALL
"""
TRUE = f"SELECT label, count(*) FROM ({TRUTH}) GROUP BY label ORDER BY label"


def label_counts(store: Store) -> dict[str, Any]:
    """Return images by class: those that count, and what each source says; images without a label that counts, those
    that two labels contradict, and the label runs. `not` are people's statements of what an image is not."""
    counted, said, true = steady(lambda: [connect(store).execute(sql).fetchall() for sql in (COUNTED, SAID, TRUE)])
    sources: dict[str, dict[str, int]] = {}
    for label, source, number in [*said, *((label, "truth", number) for label, number in true)]:
        sources.setdefault(source, {})[label] = number
    contrary = conflicts(store)
    shown = [row.tobytes() for row in contrary[:SHOWN]]
    names = first_names(store, shown)
    return {
        "labels": dict(counted),
        "unlabelled": store.images.count() - sum(number for _, number in counted),
        "sources": sources,
        "conflicts": len(contrary),
        "conflicting": [names[one] for one in shown if one in names],
        "runs": label_runs(store),
    }
