"""What is said of a repair."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fastgrad.functions.repair.search import Repair
from fastgrad.report.formatting import counted, listed
from fastgrad.report.parts import Alternative, Finding

CODE = "repair.line"
TITLE = "one edit of the source makes it right"


def finding(repair: Repair, names: Sequence[str], sizes: Sequence[int], points: str = "a fresh point") -> Finding:
    """Return a repair as a finding; the names and sizes are those of all parts of the gradient."""
    concerned = [names[part] for part in repair.parts]
    entries = sum(sizes[part] for part in repair.parts)
    place = f"{Path(repair.path).name}:{repair.line}"
    agree = "agrees" if entries == 1 else "agree"
    return Finding(
        code=CODE,
        tensor=listed(concerned),
        layer=0,
        sentence=f"One edit makes {listed(concerned)} right: all {counted(entries, 'entry')} {agree} here and at {points}.",
        repair=f"Change the line {place}.",
        formula=repair.repaired,
        explains=entries,
        entries=entries,
        residual=0.0,
        alternatives=tuple(
            Alternative(CODE, listed(concerned), 0, f"{Path(path).name}:{line}: {text}", "")
            for path, line, text in repair.others
        ),
        concerns=tuple(concerned),
        title=TITLE,
        line=repair.theirs,
        where=place,
    )
