"""The parts of a report as JSON."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from fastgrad.report.parts import Audit, Entry, Finding, Sensitivity, TensorReport


def number(value: float | None) -> float | str | None:
    """Return a number as JSON can hold it."""
    return value if value is None or math.isfinite(value) else str(float(value))


def tensor_to_dict(tensor: TensorReport) -> dict[str, Any]:
    """Return one element of the document's list `tensors`."""
    return {
        "name": tensor.name,
        "gradient_name": tensor.gradient_name,
        "shape": list(tensor.shape),
        "verdict": tensor.verdict,
        "relative_difference": number(tensor.relative_difference),
        "checked": tensor.checked,
        "wrong": tensor.wrong,
        "worst": None if tensor.worst is None else _entry_to_dict(tensor.worst),
        "ratio": number(tensor.ratio),
        "tolerance": number(tensor.tolerance),
        "located": [_entry_to_dict(entry) for entry in tensor.located],
        "more": tensor.more,
        "precision": tensor.precision,
        "outcomes": asdict(tensor.outcomes),
        "sensitivity": None if tensor.sensitivity is None else _sensitivity_to_dict(tensor.sensitivity),
        "written": tensor.written,
        "unseen": number(tensor.unseen),
    }


def _sensitivity_to_dict(sensitivity: Sensitivity) -> dict[str, Any]:
    """Return what would have been caught in a tensor."""
    return {
        "entry": number(sensitivity.entry),
        "whole": number(sensitivity.whole),
        "zeros_pass": sensitivity.zeros_pass,
        "missed": [{"wrong": wrong, "chance": chance} for wrong, chance in sensitivity.missed],
    }


def audit_to_dict(audit: Audit) -> dict[str, Any]:
    """Return the outcome of the audit."""
    return {
        "compared": audit.compared,
        "set_aside": audit.set_aside,
        "seed": audit.seed,
        "disagreements": [
            {"name": d.name, "index": list(d.index), "numerical": number(d.numerical), "plain": number(d.plain)}
            for d in audit.disagreements
        ],
    }


def finding_to_dict(finding: Finding) -> dict[str, Any]:
    """Return one element of the document's list `findings`."""
    return {
        "code": finding.code,
        "title": finding.title,
        "tensor": finding.tensor,
        "layer": finding.layer,
        "sentence": finding.sentence,
        "repair": finding.repair,
        "formula": finding.formula,
        "line": finding.line,
        "where": finding.where,
        "explains": finding.explains,
        "entries": finding.entries,
        "residual": number(finding.residual),
        "next_best": number(finding.next_best),
        "confident": finding.confident,
        "concerns": list(finding.concerns),
        "alternatives": [
            {
                "code": other.code,
                "tensor": other.tensor,
                "layer": other.layer,
                "sentence": other.sentence,
                "separate": other.separate,
            }
            for other in finding.alternatives
        ],
    }


def _entry_to_dict(entry: Entry) -> dict[str, Any]:
    """Return the worst entry of a tensor."""
    return {
        "index": list(entry.index),
        "claimed": number(entry.claimed),
        "numerical": number(entry.numerical),
    }
