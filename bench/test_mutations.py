"""Small changes of people's own backward passes, and what fastgrad makes of them: ``pytest bench/test_mutations.py -s``.

The sources in `sources` are written in several styles; `mutator` changes their syntax trees and knows nothing of the
diagnosis; `mutations` says what a case is and what counts as right, false and silent.
"""

from __future__ import annotations

from itertools import islice

import pytest

import mutations

SINGLES, PAIRS = 40, 4
"""Changes, and pairs of changes, of each source: by a seeded draw, so many that the whole takes less than ten minutes."""


def diagnosed(pairs: int, on_one_line: bool) -> mutations.Table:
    """Judge cases of all sources."""
    table = mutations.Table()
    for path in mutations.SOURCES:
        for case in islice(mutations.Source(path).cases(pairs, on_one_line=on_one_line), pairs or SINGLES):
            table.outcomes.append(mutations.judged(case))
    return table


@pytest.mark.parametrize(
    ("what", "pairs", "on_one_line", "least"),
    [
        ("single changes", 0, False, 0.9),
        ("pairs of changes", PAIRS, False, 0.6),
        ("pairs of changes on one line", PAIRS, True, 0.6),
    ],
)
def test_mutants_are_diagnosed(results, what, pairs, on_one_line, least):
    table = diagnosed(pairs, on_one_line)
    lines = [f"mutation bench, {what}", *table.lines(), "silent:", *table.silent()]
    results.texts += lines
    print(*lines, sep="\n")
    assert table.count("undetected") == 0
    assert table.accused() == 0
    assert table.count("false") == 0
    assert table.share() >= least
    assert pairs or len(table.outcomes) >= 500
