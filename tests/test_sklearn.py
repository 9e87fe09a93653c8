"""The networks of scikit-learn, checked as they are: real estimators, with every setting that changes a gradient."""

import sys
from inspect import signature

import numpy as np
import pytest

import fastgrad
from fastgrad.errors import InputError

pytestmark = [pytest.mark.extra("sklearn"), pytest.mark.compiled]

draw = np.random.default_rng(0)
X = draw.normal(size=(24, 4))
ONE, TWO, THREE = draw.normal(size=24), draw.integers(0, 2, 24), draw.integers(0, 3, 24)


def networks():
    from sklearn import neural_network

    return neural_network


def state(estimator):
    return {key: np.copy(value) if isinstance(value, np.ndarray) else repr(value) for key, value in vars(estimator).items()}


def same(before, after):
    return before.keys() == after.keys() and all(np.array_equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize(
    "settings",
    [
        {"activation": "relu", "alpha": 0.1},
        {"activation": "tanh", "solver": "lbfgs", "hidden_layer_sizes": (5, 3)},
        {"activation": "logistic", "solver": "sgd", "alpha": 1.0, "hidden_layer_sizes": 6},
        {"activation": "identity", "early_stopping": True, "alpha": 0.0},
    ],
)
@pytest.mark.parametrize(
    ("kind", "y"),
    [("MLPClassifier", TWO), ("MLPClassifier", THREE), ("MLPClassifier", np.eye(3, dtype=int)[THREE]), ("MLPRegressor", ONE)],
    ids=["two classes", "three classes", "several labels", "regressor"],
)
@pytest.mark.filterwarnings("ignore")  # it is not trained to the end
def test_every_kind_is_right_and_left_as_it_was(kind, y, settings, fitted):
    estimator = getattr(networks(), kind)(max_iter=3, random_state=0, **{"hidden_layer_sizes": (5,), **settings})
    if fitted:
        estimator.fit(X, y)
    before = state(estimator)
    report = fastgrad.sklearn.check(estimator, X, y)
    assert report.passed, str(report)
    assert report.loss_note is None
    assert report.claimed_loss is not None
    assert len(report.tensors) == 2 * (len(np.atleast_1d(settings.get("hidden_layer_sizes", 5))) + 1)
    assert same(before, state(estimator))


@pytest.mark.filterwarnings("ignore")
def test_a_wrong_gradient_is_found(monkeypatch):
    """Their derivative of tanh replaced by that of the identity."""
    from sklearn.neural_network import _multilayer_perceptron as inner

    monkeypatch.setitem(inner.DERIVATIVES, "tanh", inner.DERIVATIVES["identity"])
    report = fastgrad.sklearn.check(networks().MLPRegressor(hidden_layer_sizes=(5,), activation="tanh", random_state=0), X, ONE)
    assert [finding.code for finding in report.findings] == ["slope.missing"]
    assert report.findings[0].concerns == ("dW1", "db1")


def test_issue_8349_is_named_on_a_regressor_with_several_outputs():
    report = fastgrad.sklearn.check(
        networks().MLPRegressor(hidden_layer_sizes=(5,), alpha=0.0, random_state=0), X, draw.normal(size=(24, 3))
    )
    if report.passed:
        pytest.skip("this version of scikit-learn is repaired")
    assert "factor.outputs" in [finding.code for finding in report.findings]
    assert any("scikit-learn's issue 8349" in note for note in report.notes)
    one = fastgrad.sklearn.check(networks().MLPRegressor(hidden_layer_sizes=(5,), alpha=0.0, random_state=0), X, ONE)
    assert not any("8349" in note for note in one.notes)


def test_weights_of_examples():
    estimator = networks().MLPClassifier(hidden_layer_sizes=(5,), alpha=0.5, random_state=0)
    if "sample_weight" not in signature(estimator._backprop).parameters:
        pytest.skip("this version of scikit-learn has no weights of examples")
    assert fastgrad.sklearn.check(estimator, X, THREE, sample_weight=draw.random(24) + 0.5).passed


def test_poisson():
    estimator = networks().MLPRegressor(hidden_layer_sizes=(5,), random_state=0)
    if not hasattr(estimator, "loss") or "loss" not in estimator.get_params():
        pytest.skip("this version of scikit-learn has no such loss")
    estimator.set_params(loss="poisson")
    assert fastgrad.sklearn.check(estimator, X, draw.poisson(2.0, size=(24, 2)).astype(float)).passed


def test_sparse_inputs_and_single_precision():
    from scipy.sparse import csr_matrix

    estimator = networks().MLPClassifier(hidden_layer_sizes=(5,), random_state=0)
    assert fastgrad.sklearn.check(estimator, csr_matrix(np.where(X > 0, X, 0.0)), THREE).passed
    report = fastgrad.sklearn.check(estimator, X.astype(np.float32), THREE)
    assert report.passed
    assert {tensor.precision for tensor in report.tensors} == {"float32"}


@pytest.mark.parametrize(
    ("given", "words"),
    [((object(), X, ONE), "expected an MLPClassifier"), ((None, X[:3], ONE), "inconsistent"), ((None, X * np.nan, ONE), "NaN")],
)
def test_what_cannot_be_checked_is_a_sentence(given, words):
    estimator = given[0] or networks().MLPRegressor()
    with pytest.raises(InputError, match=words):
        fastgrad.sklearn.check(estimator, *given[1:])
    with pytest.raises(InputError, match="'alpha' parameter"):
        fastgrad.sklearn.check(networks().MLPRegressor(alpha=-1.0), X, ONE)


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.neural_network", None)
    with pytest.raises(ImportError, match=r"pip install 'fastgrad\[sklearn\]'"):
        fastgrad.sklearn.check(None, X, ONE)
