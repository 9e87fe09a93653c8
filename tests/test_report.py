"""The report: what a person reads, what a machine reads, and that nothing in a name can steer a terminal."""

import dataclasses
import io
import json
import math

import pytest
from rich.console import Console

import fastgrad
from fastgrad.report import GradientError, Report, notes
from fastgrad.report.formatting import counted, duration, printable
from fastgrad.report.parts import Alternative, Entry, Finding, TensorReport

RIGHT = TensorReport("W1", "dW1", (5, 4), "right", 1.2e-16, 20, 0, Entry((3, 1), 0.1234567, 0.1234567), None, 32.0)
WRONG = TensorReport("W2", "dW2", (3, 5), "wrong", 1 / 3, 15, 2, Entry((3, 1), 0.1234567, 0.06172835), 2.0, 32.0)
FINDING = Finding(
    code="factor.two",
    tensor="dW2",
    layer=2,
    sentence="dW2 is 2 times too large.",
    repair="Look for a 2.",
    formula="dW2 = dZ2 @ A1.T",
    explains=15,
    entries=15,
    residual=2e-16,
    alternatives=(Alternative("factor.outputs", "dW2", 2, "dW2 is summed.", "3 outputs"),),
)
UNEXPLAINED = Finding("unknown.tensor", "dW2", 2, "dW2 is odd.", "Compare.", "", 0, 15, 0.3, confident=False)
LOST = TensorReport("b1", "db1", (5, 1), "not judged", math.nan, 0, 0, None, None, 32.0)
LEFT_OUT = TensorReport("b1", None, (5, 1), "left out", math.nan, 0, 0, None, None, 32.0)
UNJUDGED = TensorReport("b1", None, (5, 1), "not judged", math.nan, 0, 0, None, None, 32.0)


def tensor(base=RIGHT, **changes):
    return dataclasses.replace(base, **changes)


def make(*tensors, **changes):
    verdict = "wrong" if any(t.verdict == "wrong" for t in tensors) else "right"
    report = Report(
        verdict=verdict,
        tensors=tensors,
        method="parameter",
        step=None,
        step_range=(1e-9, 1e-8),
        sample_seed=None,
        parameters_total=61481,
        parameters_checked=61481,
        relative_difference=0.3 if verdict == "wrong" else 1e-16,
        loss=2.407833389834357,
        claimed_loss=None,
        loss_note=None,
        description="4-5-3-1, relu, relu, sigmoid; binary_crossentropy, mean over 3 examples",
        notes=(),
        seconds=0.031,
        threads=2,
    )
    return dataclasses.replace(report, **changes)


def flat(report):
    """Return the report's text with every run of white space as one space, so that line breaks do not matter."""
    return " ".join(str(report).split())


def rendered(report, width=80, terminal=True, encoding="utf-8", **environment):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
    Console(file=stream, width=width, force_terminal=terminal, _environ=environment).print(report)
    stream.flush()
    return stream.buffer.getvalue().decode(encoding)


@pytest.mark.parametrize(
    ("report", "phrases"),
    [
        (make(RIGHT, tensor(name="b1")), ["✓ RIGHT Both gradients are right."]),
        (make(RIGHT), ["The gradient is right."]),
        (
            make(RIGHT, UNJUDGED, verdict="not judged"),
            ["The gradient of b1 is missing; the other gradient is right.", "? not judged", "no gradient given"],
        ),
        (make(RIGHT, WRONG, UNJUDGED), ["1 of 2 gradients is wrong: dW2; the gradient of b1 is missing."]),
        (make(RIGHT, LEFT_OUT), ["The gradient is right; b1 was left out.", "- left out"]),
        (make(RIGHT, WRONG), ["✗ WRONG 1 of 2 gradients is wrong: dW2."]),
        (make(RIGHT, WRONG), ["dW1 ✓ right 1.2e-16 0 of 20 dW1[3, 1] 0.1234567 0.1234567"]),
        (make(RIGHT, WRONG), ["dW2 ✗ wrong 3.3e-01 2 of 15 dW2[3, 1] 0.1234567 0.06172835"]),
        (make(WRONG, findings=(FINDING,)), ["dW2 is 2 times too large. Look for a 2. [factor.two]", "dW2 = dZ2 @ A1.T"]),
        (make(WRONG, findings=(FINDING,)), ["This explains 15 of 15 entries to 2e-16 of scale."]),
        (
            make(WRONG, findings=(FINDING,)),
            ["It could as well be: dW2 is summed. [factor.outputs] To tell the two apart, use 3 outputs."],
        ),
        (make(WRONG, findings=(UNEXPLAINED,)), ["dW2 is odd. Compare.", "[unknown.tensor]"]),
        (make(tensor(WRONG, worst=Entry((0, 0), 1.0, 1.0 + 1e-12))), ["dW2[0, 0] 1 1.000000000001"]),
        (make(tensor(WRONG, worst=Entry((4,), math.nan, 0.5))), ["dW2[4] nan 0.5"]),
        (make(tensor(verdict="right in float32")), ["✓ right in float32"]),
        (make(tensor(verdict="at a kink")), ["~ at a kink"]),
        (make(LOST, verdict="not judged"), ["? NOT JUDGED The gradients could not be judged."]),
        (make(RIGHT, parameters_checked=1), ["1 parameter was checked in 31 ms on up to 2 threads"]),
        (make(RIGHT), ["61,481 parameters were checked in 31 ms on up to 2 threads, by method parameter with a step for each"]),
        (make(RIGHT, step=1e-7, method="textbook"), ["by method textbook with a step of 1e-07."]),
        (make(RIGHT, notes=("The inputs were float32.",)), ["The inputs were float32."]),
        (make(RIGHT), ["The loss is 2.407833. Give your own value as loss_value"]),
        (make(RIGHT, claimed_loss=2.407833), ["The loss is 2.407833, the same as yours."]),
        (
            make(RIGHT, claimed_loss=7.2235, loss_note="your loss value 7.2235 is a sum"),
            ["The losses differ: your loss value 7.2235 is a sum."],
        ),
        (
            # Of 10 entries 2 wrong: all 8 drawn are right in 1 of 45 draws; 1 wrong: in 1 of 5.
            make(tensor(checked=8, shape=(10,)), sample_seed=0),
            ["A mistake in under 20% of the entries of dW1 may be missed."],
        ),
        (
            # 365 wrong ones of 61,440 (0.594%) are all missed in 5.02% of the draws, 366 in 4.98%: math.comb says so.
            make(tensor(checked=500, shape=(5, 12288)), parameters_checked=500, sample_seed=7),
            ["500 of 61,481 parameters were checked, drawn with seed 7. A mistake in under 0.59% of the entries of dW1"],
        ),
    ],
)
def test_text(report, phrases):
    for phrase in phrases:
        assert phrase in flat(report)


@pytest.mark.parametrize(
    ("total", "wrong", "phrase"),
    [
        (0.2850931567, True, "0.2850932; courses call a value above 1e-2 certainly wrong."),
        (1e-3, True, "0.001; courses call a value between 1e-4 and 1e-2 probably wrong."),
        (1e-8, True, "1e-08, which alone might pass: it hides single wrong entries"),
        (1e-16, False, "1e-16; courses call a value below 1e-7 right."),
        (1.2e-7, False, "too large for smooth activations. Measured in units of each entry's own rounding, it is noise."),
        (math.nan, True, "The total relative difference is not a number."),
    ],
)
def test_total_is_read_as_in_the_courses_but_never_against_the_verdict(total, wrong, phrase):
    assert phrase in flat(make(WRONG if wrong else RIGHT, relative_difference=total))


@pytest.mark.parametrize("width", [80, 100])
def test_six_tensors_fit_one_screen(width):
    tensors = [tensor(base, name=n, gradient_name=f"d{n}") for n, base in zip("abcdef", [RIGHT, WRONG] * 3, strict=True)]
    lines = rendered(make(*tensors, claimed_loss=1.0, loss_note="Use --reduction sum."), width, False).splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= width


def test_many_tensors_are_folded():
    right = [tensor(name=f"W{k}", relative_difference=k * 1e-17) for k in range(1, 31)]
    text = flat(make(*right, WRONG))
    assert "dW2 ✗ wrong" in text
    assert "30 more ✓ right <= 3.0e-16" in text
    assert len(str(make(*right, *[WRONG] * 40)).splitlines()) <= 24


def test_hostile_names_are_shown_literally():
    name = "[red]W\x1b[31m\n\u202e[/red]"
    report = make(tensor(name=name, gradient_name=name), description=name, notes=(name,), loss_note=name, claimed_loss=1.0)
    text = str(report)
    assert "[red]W\\x1b[31m\\n\\u202e[/red]" in text
    assert all(c.isprintable() or c == "\n" for c in text)


def test_long_names_are_cut():
    text = str(make(tensor(gradient_name="a" * 5000)))
    assert len(text) < 2000


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
    ],
)
def test_colour(environment, coloured):
    text = rendered(make(WRONG), **environment)
    assert ("\x1b[1;31m" in text) == coloured
    assert "✗ WRONG" in text


def test_a_terminal_without_unicode():
    text = rendered(make(RIGHT, WRONG), terminal=False, encoding="ascii")
    assert "x WRONG" in text
    assert "+ right" in text


def test_plain_text_ignores_the_environment(monkeypatch):
    before = str(make(WRONG))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "20")
    assert str(make(WRONG)) == before


DOCUMENT_KEYS = {
    "schema", "passed", "verdict", "method", "step", "parameters_total", "parameters_checked", "relative_difference",
    "loss", "seconds", "tensors",
}  # fmt: skip
TENSOR_KEYS = {"name", "shape", "verdict", "relative_difference", "checked", "wrong", "worst", "ratio"}


def test_document_has_the_promised_keys():
    document = json.loads(json.dumps(make(RIGHT, WRONG).to_dict(), allow_nan=False))
    assert document.keys() >= DOCUMENT_KEYS
    assert document["schema"] == 1
    assert (document["passed"], document["verdict"]) == (False, "wrong")
    first, second = document["tensors"]
    assert first.keys() >= TENSOR_KEYS
    assert (second["name"], second["shape"], second["wrong"], second["ratio"]) == ("W2", [3, 5], 2, 2.0)
    assert second["worst"] == {"index": [3, 1], "claimed": 0.1234567, "numerical": 0.06172835}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_document_holds_what_json_does_not_know(value):
    entry = Entry((0, 0), value, 0.5)
    report = make(tensor(WRONG, worst=entry, relative_difference=value), relative_difference=value)
    document = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    for found in (
        document["relative_difference"],
        document["tensors"][0]["relative_difference"],
        document["tensors"][0]["worst"]["claimed"],
    ):
        assert float(found) == pytest.approx(value, nan_ok=True)


def test_raise_if_wrong():
    make(RIGHT).raise_if_wrong()
    with pytest.raises(GradientError, match=r"(?s)dW2.*2 of 15.*2 times too large") as failure:
        make(RIGHT, WRONG, findings=(FINDING,)).raise_if_wrong()
    assert isinstance(failure.value, AssertionError)
    assert "dW1" not in str(failure.value)


def test_raise_if_wrong_does_not_pass_over_what_was_not_judged():
    with pytest.raises(GradientError, match=r"(?s)could not be judged.*The audit failed\."):
        make(LOST, verdict="not judged", notes=("The audit failed.",)).raise_if_wrong()


def test_report_is_immutable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        make(RIGHT).loss = 0.0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 µs"),
        (2.34e-5, "23 µs"),
        (0.0312, "31.2 ms"),
        (0.9999, "1 s"),
        (4.2, "4.2 s"),
        (99.99, "1 min 40 s"),
        (200, "3 min 20 s"),
        (3600 * 30, "30.0 h"),
    ],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0 threads"), (1, "1 thread"), (61481, "61,481 threads")])
def test_counted(count, text):
    assert counted(count, "thread") == text


@pytest.mark.parametrize(
    ("text", "shown"), [("W1", "W1"), ("Größe", "Größe"), ("\x00\x7f", "\\x00\\x7f"), ("\ud800", "\\ud800")]
)
def test_printable(text, shown):
    assert printable(text) == shown


def test_a_plain_number_has_no_index():
    report = fastgrad.check({"W1": 0.5}, {"dW1": 1.0}, 1.5, 0.3, activations="tanh", loss="squared_error")
    assert "dW1[" not in str(report)


def test_large_numbers_of_examples_have_commas():
    assert notes.on_kinks(1000, 1000, 2000, "float64").startswith("1,000 of 2,000 examples")
    assert notes.on_kinks(1500, 1000, 2000, "float32").startswith("1,500 of 2,000 examples")
    assert "(1,000 of them exactly" in notes.on_kinks(1500, 1000, 2000, "float32")
