"""The integer codes by which kernels know activations and losses; plain numbers, so that importing them compiles nothing."""

IDENTITY = 0
SIGMOID = 1
TANH = 2
RELU = 3

SOFTMAX_CROSSENTROPY = 0
BINARY_CROSSENTROPY = 1
SQUARED = 2
