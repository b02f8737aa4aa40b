"""Which label counts, in SQL over the tables `labels` and `runs`: whose word, which of his words, and what it loses to.

A person's statement comes before an exemplar, that before a label that came with the data, and that before a run that
was accepted; of several runs the one accepted last counts. What a person says "is not" does not count for anybody.
Two different labels of one rank are a conflict, and a conflict is no label.
"""

from __future__ import annotations

PEOPLE = ("human", "exemplar")
PRECEDENCE = (*PEOPLE, "given", "run")
ACCEPT, REVERT = "labels accept", "labels revert"

# A run that was killed or failed has said nothing: what it wrote until then counts for nothing, so that a file comes in
# as a whole. What came with the data is written once, by whichever run, and counts.
# Of a run that was accepted or reverted, what was done last. Exemplars outlive the run of a labeler that remembered
# them: another threshold is tried with the same ones.
STATED = f"""
    WITH began AS (
        SELECT run, min(time) FILTER (event = 'start') AS time,
            bool_or(event = 'end' AND CASE WHEN json_valid(details) THEN NOT json_exists(details, '$.error') END)
                AS whole
        FROM runs GROUP BY run
    ),
    decided AS (
        SELECT json_extract_string(details, '$.run') AS run, arg_max(command, time) = '{ACCEPT}' AS accepted,
            max(time) AS time
        FROM runs WHERE event = 'end' AND command IN {(ACCEPT, REVERT)!r} GROUP BY 1
    ),
    stated AS (
        SELECT id, label, polarity, score, source, labels.run, coalesce(began.time, 0) AS time, decided.time AS decided
        FROM labels LEFT JOIN began ON began.run = labels.run LEFT JOIN decided ON decided.run = labels.run
        WHERE kind = 'class' AND source IN {PRECEDENCE!r}
            AND CASE source WHEN 'given' THEN true WHEN 'run' THEN whole AND coalesce(accepted, false)
                WHEN 'exemplar' THEN whole AND (polarity IS NOT NULL OR coalesce(accepted, true))
                ELSE whole AND coalesce(accepted, true) END
    )
"""

# A person's statement gives way to a newer one that says the opposite of the same label, that gives the image another
# label, or that takes it back (polarity NULL; without a label: all that was said of the image). What people set and
# the exemplars are taken back each by itself.
STANDING = f"""
    {STATED},
    said AS (
        SELECT *,
            max(time) FILTER (polarity) OVER same AS yes,
            max(time) FILTER (NOT polarity) OVER same AS no,
            max(time) FILTER (polarity IS NULL) OVER (PARTITION BY id, source, label) AS back,
            max(time) FILTER (polarity IS NULL AND label IS NULL) OVER (PARTITION BY id, source) AS all_back,
            max(time) FILTER (polarity) OVER (PARTITION BY id, source) AS newest
        FROM stated WHERE source IN {PEOPLE!r}
        WINDOW same AS (PARTITION BY id, label)
    ),
    standing AS (
        SELECT id, label, polarity, score, source, run, NULL AS decided FROM said
        WHERE polarity IS NOT NULL AND time >= greatest(0, back, all_back)
            AND time >= CASE WHEN polarity THEN greatest(no, newest) ELSE coalesce(yes, 0) END
        UNION ALL
        SELECT id, label, polarity, score, source, run, CASE source WHEN 'run' THEN decided END FROM stated
        WHERE source NOT IN {PEOPLE!r}
    )
"""


def _first(sources: tuple[str, ...]) -> str:
    """Return the query for what is said of each image by the first of `sources` that speaks of it."""
    place = f"list_position({list(PRECEDENCE)!r}, source), decided DESC"
    return f"""
        {STANDING}
        SELECT * FROM (
            SELECT *, rank() OVER (PARTITION BY id ORDER BY {place}) AS place FROM standing AS one
            WHERE polarity AND source IN ({", ".join(map(repr, sources))})
                AND NOT EXISTS (
                    SELECT 1 FROM standing AS veto WHERE veto.id = one.id AND veto.label = one.label
                        AND NOT veto.polarity AND veto.source IN {PEOPLE!r}
                )
        ) WHERE place = 1
    """


FIRST = _first(PRECEDENCE)
LABELS = f"SELECT id, any_value(label) AS label FROM ({FIRST}) GROUP BY id HAVING count(DISTINCT label) = 1"
CONFLICTS = f"SELECT id FROM ({FIRST}) GROUP BY id HAVING count(DISTINCT label) > 1"


def statements_sql(sources: tuple[str, ...]) -> str:
    """Return the query for what counts among `sources` alone, conflicts included, and for what they say is not."""
    columns = "id, label, polarity, source, run"
    return f"""
        SELECT {columns} FROM ({_first(sources)})
        UNION ALL
        SELECT {columns} FROM ({STANDING} SELECT * FROM standing)
        WHERE NOT polarity AND source IN ({", ".join(map(repr, sources))})
        ORDER BY ALL
    """
