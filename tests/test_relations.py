"""What holds exactly on the wrong entries of an array: every kind of relation, and that chance never looks like one."""

import json
from pathlib import Path

import numpy as np
import pytest

import fastgrad
from fastgrad.functions.relations import Compared, Numbers, related, words
from fastgrad.functions.repair import words as repair_words
from fastgrad_cli.codes import chosen

rng = np.random.default_rng(11)
W, Q, R, B = rng.normal(size=(5, 5)), rng.normal(size=(5, 5)), rng.normal(size=(6, 4)), rng.normal(size=4)
K = rng.normal(size=(3, 2, 4, 4))
NUMBERS = Numbers({8.0: "the number of examples", 5.0: "the length of axis 0 of Q"})


def compared(name, claimed, numerical, bound=1e-13):
    return Compared(name, np.array(claimed, dtype=float), numerical, np.full(numerical.shape, bound))


def of(*triples, bound=1e-13):
    return related([compared(*triple, bound=bound) for triple in triples], NUMBERS)


def only(*triples, bound=1e-13):
    (finding,) = of(*triples, bound=bound)
    return finding


def changed(array, places, value):
    array = array.copy()
    array[places] = value
    return array


def bordered():
    inner = np.zeros_like(K)
    inner[:, :, 1:-1, 1:-1] = K[:, :, 1:-1, 1:-1]
    return inner


SIGNS = np.array([1.0, 1.0, -1.0, 1.0, 1.0])
COLUMNS = rng.normal(size=4)
CASES = [
    ("relation.factor", [("R", 2 * R, R)], "R is 2 times the numerical gradient."),
    ("relation.factor", [("R", 8 * R, R)], "R is 8 times the numerical gradient (8 is the number of examples)."),
    ("relation.factor", [("R", R / 8, R)], "(1/8, where 8 is the number of examples)"),
    ("relation.factor", [("R", R * 8 / 7, R)], "(8/7, where 8 is the number of examples)"),
    (
        "relation.factor",
        [("R", R * np.sqrt(5), R)],
        "2.236 times the numerical gradient (√5, where 5 is the length of axis 0 of Q)",
    ),
    ("relation.factor", [("Q", 3 * Q, Q), ("W", 3 * W, W), ("R", R, R)], "Q and W are 3 times the numerical gradient."),
    ("relation.sign", [("R", -R, R)], "R has the wrong sign"),
    ("relation.zero", [("R", 0 * R, R)], "R is zero throughout"),
    ("relation.transposed", [("W", W.T, W)], "W is the numerical gradient transposed."),
    ("relation.transposed", [("W", -W.T, W)], "W is -1 times the numerical gradient transposed."),
    ("relation.transposed", [("K", K.transpose(0, 1, 3, 2), K)], "with its axes in the order (0, 1, 3, 2)"),
    (
        "relation.reshaped",
        [("R", R.T.reshape(6, 4), R)],
        "in another order, as after a reshape with the axes in the order (1, 0)",
    ),
    ("relation.reshaped", [("R", R.reshape(4, 6).T, R)], "in another order"),
    ("relation.reversed", [("K", K[:, :, ::-1, ::-1], K)], "K is the numerical gradient reversed along axes 2 and 3."),
    ("relation.shifted", [("R", np.roll(R, 1, axis=0), R)], "shifted by 1 along axis 0"),
    ("relation.blocks", [("R", R[[2, 3, 0, 1, 4, 5]], R)], "the blocks 0 and 1 of the 3 along axis 0 exchanged"),
    ("relation.exchanged", [("Q", W, Q), ("W", Q, W)], "Q and W are exchanged: each holds the other's gradient."),
    ("relation.exchanged", [("Q", W.T, Q), ("W", Q.T, W)], "each holds the other's gradient, with its axes exchanged."),
    ("relation.other", [("Q", W, Q), ("W", W, W)], "Q holds the gradient of W."),
    ("relation.other", [("Q", W.T, Q), ("W", W, W)], "Q holds the gradient of W, with its axes exchanged."),
    ("relation.added", [("Q", Q + W, Q), ("W", W, W)], "Q is the numerical gradient plus that of W."),
    ("relation.offset", [("B", B + 0.25, B)], "B is 0.25 too large in every entry."),
    ("relation.sum", [("R", np.tile(R.sum(axis=0), (6, 1)), R)], "the sum of the numerical gradient over axis 0"),
    ("relation.mean", [("R", np.tile(R.mean(axis=0), (6, 1)), R)], "the mean of the numerical gradient over axis 0"),
    ("relation.factors", [("W", W * SIGNS[:, None], W)], "Row 2 of W is -1 times the numerical gradient, with the wrong sign"),
    ("relation.factors", [("R", R * COLUMNS, R)], "times one factor for each column"),
    ("relation.factors", [("K", K * COLUMNS[:2, None, None], K)], "one factor for each index along axis 1"),
    ("relation.offsets", [("R", R + COLUMNS, R)], "R is off by one number for each column"),
    ("relation.offsets", [("W", changed(W, 3, W[3] + 2.0), W)], "Row 3 of W is 2 too large; the rest is right"),
    ("relation.zeros", [("R", changed(R, [0, 2], 0.0), R)], "R is zero in rows 0 and 2, and right elsewhere."),
    ("relation.zeros", [("K", bordered(), K)], "K is zero in the border of the last two axes"),
]


@pytest.mark.parametrize(("code", "triples", "words"), CASES, ids=[words for _, _, words in CASES])
def test_relations_are_named(code, triples, words):
    finding = only(*triples)
    assert finding.code == code
    assert words in finding.sentence
    assert finding.confident
    assert set(finding.concerns) == {name for name, claimed, numerical in triples if not np.array_equal(claimed, numerical)}
    assert finding.explains == finding.entries


@pytest.mark.parametrize("seed", range(60))
def test_chance_is_never_a_relation(seed):
    """Errors of all shapes that are no relation: in all entries, in one row, in some entries; also where little is known."""
    rng = np.random.default_rng(seed)
    bound = 10.0 ** -rng.integers(1, 13)
    names = []
    for name, shape in (("a", (3, 3)), ("b", (3, 3)), ("c", (3,)), ("d", (2, 2, 2)), ("e", (1,)), ("g", (2,))):
        numerical = rng.normal(size=shape)
        error = rng.normal(size=shape) * (rng.random(shape) < rng.choice([0.3, 1.0]))
        names.append((name, numerical + error, numerical))
    assert not [finding for finding in of(*names, bound=bound) if finding.confident]


@pytest.mark.parametrize("seed", range(20))
def test_noise_hides_a_relation_and_makes_none(seed):
    rng = np.random.default_rng(seed)
    numerical = rng.normal(size=(4, 3))
    noise = 0.02 * rng.uniform(-1.0, 1.0, size=(4, 3))
    assert not [one for one in of(("a", numerical + noise, numerical), bound=0.02) if one.confident]
    # A factor that noise leaves open is no number of the problem.
    doubled = related([compared("a", 8.0 * numerical + noise, numerical, 0.02)], NUMBERS)
    assert all("examples" not in finding.sentence for finding in doubled)


def test_one_number_is_evidence_of_nothing():
    assert of(("b", B[:1] * 2, B[:1])) == ()
    assert not only(("b", B[:2] * 3, B[:2])).confident  # one of two was fitted
    same = np.full(6, 8.0)
    assert not [finding for finding in of(("b", same / 8, same)) if finding.confident]


def test_where_a_claim_is_wrong_is_told_if_nothing_else_is_known():
    finding = only(("R", changed(R, 3, rng.normal(size=4)), R))
    assert (finding.code, finding.confident) == ("unknown.place", False)
    assert finding.sentence == "R is wrong in row 3, and right elsewhere."


def test_unknown_entries_prove_and_contradict_nothing():
    numerical = changed(R, (0, 0), np.nan)
    assert only(("R", 2 * R, numerical)).confident
    bound = np.full(R.shape, np.inf)
    bound[0, :2] = 1e-13
    (finding,) = related([Compared("R", 3 * R, R, bound)], NUMBERS)
    assert not finding.confident


def linear(p):
    return float((np.sin(p["W"]) * Q).sum() + (np.cos(p["V"]) * R).sum())


def test_check_function_names_relations_in_text_and_document():
    point = {"W": W, "V": R + 1.0}
    claim = {"W": (np.cos(W) * Q).T, "V": -np.sin(R + 1.0) * R}
    report = fastgrad.check_function(linear, claim, point)
    (finding,) = report.findings
    assert (finding.code, finding.concerns, finding.confident) == ("relation.transposed", ("W",), True)
    assert "W is the numerical gradient transposed." in str(report)
    assert json.loads(json.dumps(report.to_dict()))["findings"][0]["code"] == "relation.transposed"
    claim["W"] = claim["W"].T
    assert fastgrad.check_function(linear, claim, point).findings == ()


def test_a_common_factor_is_told_once():
    report = fastgrad.check_function(lambda x: float((x**2).sum()), lambda x: x, np.array([1.0, 2.0, 3.0, 4.0]))
    assert str(report).count("times the numerical") == 1


def test_a_relation_that_a_fresh_point_contradicts_is_not_certain():
    point = {"W": W, "V": R + 1.0}

    def right(p):
        return {"W": np.cos(p["W"]) * Q, "V": -np.sin(p["V"]) * R}

    def found(gradient):
        findings = fastgrad.check_function(linear, gradient, point).findings
        return [(one.code, one.confident) for one in findings if one.code.startswith("relation.")]

    # A factor of 2 is one everywhere; what is 2 only at this point is none. The functions have no source that could be edited.
    space = {"right": right, "W00": W[0, 0], "np": np}
    always = eval("lambda p: {**right(p), 'V': 2 * right(p)['V']}", space)
    here = eval("lambda p: {**right(p), 'V': (2 + p['W'][0, 0] - W00) * right(p)['V']}", space)
    assert found(always) == [("relation.factor", True)]
    assert found(here) == [("relation.factor", False)]
    assert found(eval("lambda p: {**right(p), 'W': right(p)['W'].T}", space)) == [("relation.transposed", True)]


def test_exchanged_gradients_are_exchanged_at_a_fresh_point_too():
    point = {"A": W, "B": Q}
    f = lambda p: float((np.sin(p["A"]) * Q).sum() + (np.cos(p["B"]) * W).sum())  # noqa: E731
    gradient = eval("lambda p: {'A': -np.sin(p['B']) * W, 'B': np.cos(p['A']) * Q}", {"np": np, "W": W, "Q": Q})
    (finding,) = fastgrad.check_function(f, gradient, point).findings
    assert (finding.code, finding.confident) == ("relation.exchanged", True)


def test_every_code_is_explained_on_the_page():
    page = (Path(__file__).parents[1] / "docs" / "explanation" / "naming.md").read_text(encoding="utf-8")
    codes = (*words.CODES, repair_words.CODE)
    assert [code for code in codes if f"`{code}`" not in page] == []
    explained = [entry.to_dict() for code in codes for entry in chosen(code)]
    assert all("{" not in text and "  " not in text for entry in explained for text in entry.values())
