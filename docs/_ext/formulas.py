"""Activations and losses in formulas, for the tables of the documentation; a test holds the names against the code's."""

ACTIVATIONS = {
    "identity": "z",
    "sigmoid": "σ(z) = 1/(1 + e⁻ᶻ)",
    "tanh": "tanh z",
    "relu": "max(0, z)",
    "leaky_relu": "z where z > 0, else s·z; the parameter is the slope s",
    "elu": "z where z > 0, else α(eᶻ − 1); the parameter is α",
    "selu": "1.0507·z where z > 0, else 1.7581(eᶻ − 1)",
    "relu6": "min(max(0, z), 6)",
    "softplus": "log(1 + eᶻ)",
    "silu": "z·σ(z)",
    "gelu": "z·Φ(z), Φ the normal distribution function",
    "gelu_tanh": "½z(1 + tanh(√(2/π)(z + 0.044715z³)))",
    "mish": "z·tanh(log(1 + eᶻ))",
    "softsign": "z/(1 + |z|)",
    "arctan": "arctan z",
    "sin": "sin z",
    "hard_sigmoid": "min(max(0, s·z + ½), 1); the parameter is the slope s",
    "hard_tanh": "min(max(−1, z), 1)",
    "exp": "eᶻ",
    "softmax": "eᶻ/Σeᶻ over the outputs; as the output layer only",
}
"""By name, f(z) of one unit."""

_ANY, _NO_SOFTMAX = "any output, softmax included", "any output except softmax"

LOSSES = {
    "binary_crossentropy": ("−Σ y·log a + (1 − y)·log(1 − a), worked out from the logits", "sigmoid, with one output or many"),
    "softmax_crossentropy": ("−Σ y·log p, worked out from the logits; the y of an example need not sum to one", "softmax"),
    "squared_error": ("½Σ(a − y)²", _ANY),
    "sum_squared_error": ("Σ(a − y)²", _ANY),
    "mse": ("the mean over the outputs of (a − y)²", _ANY),
    "half_mse": ("half the mean over the outputs of (a − y)²", _ANY),
    "absolute_error": ("the mean over the outputs of |a − y|", _ANY),
    "sum_absolute_error": ("Σ|a − y|", _ANY),
    "huber": ("the mean over the outputs of ½(a − y)² where |a − y| ≤ δ, else δ(|a − y| − ½δ); written `huber:0.7`", _ANY),
    "log_cosh": ("the mean over the outputs of log cosh(a − y)", _ANY),
    "hinge": ("Σ max(0, margin + a_j − a_c) over the other classes; with one output max(0, margin − y·a)", _NO_SOFTMAX),
    "squared_hinge": ("the sum of the squares of these", _NO_SOFTMAX),
    "poisson": ("the mean over the outputs of a − y·log a", "exp, or any output above 0"),
    "kl_divergence": ("Σ y·log(y/a)", "softmax, or any output above 0"),
}
"""By name, the loss of one example with outputs a and targets y, and the output activations that it goes with."""
