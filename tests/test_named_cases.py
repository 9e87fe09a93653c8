"""What was done in the wrong real cases, as their sources have it: the code, the tensors and both lines of every finding."""

import pytest

from fastgrad.reading import modelfile
from fastgrad.walk import check_problem

import cases

STEP = "f′(Z1)"
NAMED = {
    # tanh_d returns tanh itself.
    "andersbll_nnet_tanh": [("slope.form", "dZ1", f"dZ1 = dA1 * {STEP}", "dZ1 = dA1 * (a)")],
    # Two mistakes that the course plants: dW2 times 2, and 4/m for 1/m in db1.
    "coursera_gradcheck_planted": [
        ("factor.two", "dW2", "dW2 = dZ2 @ A1.T", "dW2 = 2 * (dZ2 @ A1.T)"),
        (
            "factor.constant",
            "db1",
            "db1 = np.sum(dZ1, axis=1, keepdims=True)",
            "db1 = 4 * (np.sum(dZ1, axis=1, keepdims=True))",
        ),
    ],
    # The loss penalises the biases as well, db has no λ/m·b; λ/m is 0.0175.
    "dabbura_l2_trained": [
        (
            "penalty.missing",
            "db1, db2 and db3",
            "db1 = np.sum(dZ1, axis=1, keepdims=True) + 0.0175 * b1",
            "db1 = np.sum(dZ1, axis=1, keepdims=True)",
        )
    ],
    # The loss is divided by the 60 examples, neither the gradient of the data nor that of the penalty is.
    "dennybritz_wildml_sum_vs_mean": [("factor.examples", "dW1, db1, dW2 and db2", "dW1 = X.T @ dZ1", "dW1 = m * (X.T @ dZ1)")],
    # The first version of the notebook has the penalty in J alone; λ/m is 1/30.
    "ex4_jdwittenauer_missing_reg": [
        (
            "penalty.missing",
            "delta1[:, 1:] and delta2[:, 1:]",
            "delta1[:, 1:] = dZ1.T @ X + 0.03333 * theta1[:, 1:]",
            "delta1[:, 1:] = dZ1.T @ X",
        )
    ],
    # np.sum without an axis: one number for all units.
    "kaggle_mnist_scalar_db": [
        ("bias.one_number", "db1 and db2", "db1 = np.sum(dZ1, axis=1, keepdims=True)", "db1 = np.sum(dZ1)")
    ],
    # The mean over the batch where 1/m stands in dZ already.
    "kvfrans_bias_mean": [("factor.examples_twice", "d_b1", "d_b1 = np.sum(dZ1, axis=1)", "d_b1 = (np.sum(dZ1, axis=1)) / m")],
    # The weights of the output are updated, at a rate of 0.1, before the hidden deltas are made of them.
    "louisjc_before_fix": [
        (
            "way.updated_weights",
            "dZ1",
            "dA1 = layers_1[:, :-1].T @ dZ2",
            "dA1 = (layers_1[:, :-1] - 0.1 * dlayers_1[:, :-1]).T @ dZ2",
        )
    ],
    # sign(y - a) for sign(a - y).
    "nnfs_sine_mae_sign": [("factor.sign", "dZ3", "dZ3 = dA3 * f′(Z3)", "dZ3 = -(dA3 * f′(Z3))")],
    # The delta of the last hidden layer is not multiplied by the derivative of the sigmoid.
    "se550353_missing_derivative_1ex": [("slope.missing", "dZ2", "dZ2 = dA2 * f′(Z2)", "dZ2 = dA2")],
    # The loss averages over the outputs as well, the gradient does not.
    "sklearn_reg_identity_2out": [("factor.outputs", "dZ2", "dZ2 = dA2 * f′(Z2)", "dZ2 = K * (dA2 * f′(Z2))")],
    "stat453_f32_factor_K": [("factor.outputs", "dZ2", "dZ2 = dA2 * f′(Z2)", "dZ2 = K * (dA2 * f′(Z2))")],
}


@pytest.mark.compiled
@pytest.mark.parametrize("name", [cases.case(name) for name in NAMED])
def test_a_real_case_is_named_as_its_source_has_it(name):
    report = check_problem(modelfile.load(cases.model_file(name), cases.options(cases.sidecar(name))))
    assert [(one.code, one.tensor, one.formula, one.line) for one in report.findings] == NAMED[name]
    assert all(one.confident and one.explains == one.entries for one in report.findings)


def test_every_wrong_case_is_among_them():
    found = [param.values[0] for param in cases.names()]
    assert {name for name in found if cases.sidecar(name)["verdict"] == "wrong"} <= NAMED.keys()
