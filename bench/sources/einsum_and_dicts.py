"""einsum for every product, parameters by layer name, softplus and leaky relu; rows, absolute sums instead of means."""

import numpy as np

WIDTHS, EXAMPLES = (4, 6, 5, 2), (7, 10)
OPTIONS = {
    "activations": ["softplus", "leaky_relu", "identity"],
    "loss": "squared_error",
    "reduction": "sum",
    "layout": "rows,in_out",
}
MUTATED = ("backprop",)
SLOPE = 0.01


def run(params, x):
    pre1 = np.einsum("ni,ij->nj", x, params["W1"]) + params["b1"]
    act1 = np.log1p(np.exp(pre1))
    pre2 = np.einsum("ni,ij->nj", act1, params["W2"]) + params["b2"]
    act2 = np.where(pre2 > 0, pre2, SLOPE * pre2)
    out = np.einsum("ni,ij->nj", act2, params["W3"]) + params["b3"]
    return pre1, act1, pre2, act2, out


def backprop(params, x, t):
    pre1, act1, pre2, act2, out = run(params, x)
    g_out = out - t
    g_W3 = np.einsum("ni,nj->ij", act2, g_out)
    g_b3 = np.einsum("nj->j", g_out)
    g_act2 = np.einsum("nj,ij->ni", g_out, params["W3"])
    g_pre2 = g_act2 * np.where(pre2 > 0, 1.0, SLOPE)
    g_W2 = np.einsum("ni,nj->ij", act1, g_pre2)
    g_b2 = np.einsum("nj->j", g_pre2)
    g_act1 = np.einsum("nj,ij->ni", g_pre2, params["W2"])
    g_pre1 = g_act1 / (1.0 + np.exp(-pre1))
    g_W1 = np.einsum("ni,nj->ij", x, g_pre1)
    g_b1 = np.einsum("nj->j", g_pre1)
    return {"W1": g_W1, "b1": g_b1, "W2": g_W2, "b2": g_b2, "W3": g_W3, "b3": g_b3}


def backward(parameters, X, Y):
    return backprop(parameters, X, Y)
