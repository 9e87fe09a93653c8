"""The integers that kernels go by: codes of activations and losses, places in tables. Importing them compiles nothing."""

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

# How the value of an activation, or its slope, rounds as usually computed: not at all, where it only chooses or is straight;
# relative to its size, where it is not z itself; relative to itself, which is positive; with terms about 1, such as tanh by
# exponentials at any z; as σ(z), as z·g(z), as the slope of that; as 1 − a², which cancels where f saturates.
EXACT, RELATIVE, PROPORTIONAL, BESIDE_ONE, OF_SIGMOID, OF_PRODUCT, OF_PRODUCT_SLOPE, SATURATING = range(8)

SOFTMAX_CROSSENTROPY = 0
BINARY_CROSSENTROPY = 1
SQUARED = 2
ABSOLUTE = 3
HUBER = 4
LOG_COSH = 5
POISSON = 6
POISSON_OF_LOGIT = 7
KL_DIVERGENCE = 8
# From here on one output's share of the loss depends on others; the losses of a − y, from SQUARED to LOG_COSH, and the
# binary cross-entropy may follow a softmax, whose code is then added to theirs.
COUPLED = 16
HINGE = 16
SQUARED_HINGE = 17
OF_SOFTMAX = 32

# Rows of the table of layers: width; then, for the layer above, first index of its W in theta, first column in the table of
# units, activation.
WIDTH, START, UNIT, CODE = 0, 1, 2, 3
LAYER_ROWS = 4

# Planes of the table of units: pre-activation, f′, ½f″, distance to the nearest kink, what dropout multiplies f with.
# f′ and ½f″ have that factor in them.
Z, SLOPE, CURVATURE, KINK, SCALE = 0, 1, 2, 3, 4

# Planes of the table of outputs: output or logit, target; slope and half curvature of the loss when one output moves alone,
# the sample's factor included; softmax probability, where the loss has one; that factor; how far all outputs may move
# before this one's share of the loss comes to a point where two Taylor terms end.
OUTPUT, TARGET, LOSS_SLOPE, LOSS_CURVATURE, PROBABILITY, FACTOR, LOSS_KINK = 0, 1, 2, 3, 4, 5, 6
OUTPUT_PLANES = 7

# Addresses of the kernels of exact differences, which are compiled where two Taylor terms are not enough: through an
# activation, of a loss whose outputs all move, of one where one output moves alone.
EXACT_ACTIVATION, EXACT_LOSS, EXACT_SINGLE = 0, 1, 2

TILE = 128
"""Perturbations in a tile."""
ROW = 2 * TILE
"""Length of a tile's row: each perturbation with both signs. Fixed, so that rows cannot overlap for the compiler."""
LINE = 8
"""Numbers in a line of the cache."""
SPACING = ROW + LINE
"""From the first number of a row to that of the next."""
SUMS = 128
"""Rows of sums that stay in the second cache; the outputs of several samples share them."""
FEW_OUTPUTS = 32
"""Outputs up to which samples do."""

WORD = 64
"""Random signs in a word."""
GROUP = 4
"""Signs that choose a row of a table of sums together: 16 rows for 4 columns, so that 64 columns take 16 additions."""
GROUPS = WORD // GROUP
PATTERNS = 2**GROUP

# What a block of judged entries comes to: sums of squares of how far claims are off, of claims, of numerical values and of
# what is allowed; how many are wrong, right by single precision alone, and larger than what is allowed; the most that a claim
# may be moved, and by which share all may; the largest error and the clearest value in units of what is allowed, with places.
OFF, CLAIMED, NUMERICAL, ALLOWED, WRONG, COARSE, SEEN, ROOM, COMMON, EXCESS, EXCESS_AT, CLEAR, CLEAR_AT = range(13)
SUMMED = 13
# And the claim and the value at the largest error, and at the clearest value.
WORST_CLAIM, WORST_VALUE, CLEAR_CLAIM, CLEAR_VALUE = range(SUMMED, SUMMED + 4)
TOTALS = SUMMED + 4
LANES = 64
"""Sums that run beside each other, so that they vectorise."""
SCRATCH = SUMMED * LANES
SQUARED_INPUTS, SQUARED_SAMPLES = 256, 4
"""Inputs, and samples, whose squares are added at a time: each sum is then loaded and stored for four terms."""
