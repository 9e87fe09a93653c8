"""The integer codes by which kernels know activations and losses; plain numbers, so that importing them compiles nothing."""

IDENTITY = 0
SIGMOID = 1
TANH = 2
RELU = 3
LEAKY_RELU = 4
ELU = 5
SELU = 6
RELU6 = 7
SOFTPLUS = 8
SILU = 9
GELU = 10
GELU_TANH = 11
MISH = 12
SOFTSIGN = 13
ARCTAN = 14
SIN = 15
HARD_SIGMOID = 16
HARD_TANH = 17
EXP = 18

SOFTMAX_CROSSENTROPY = 0
BINARY_CROSSENTROPY = 1
SQUARED = 2
