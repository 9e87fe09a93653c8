"""Of every code of mistake the page: why it is wrong, a line of code that has it, and the line as it should be.

`fastgrad explain CODE` prints it and the documentation makes a page of it. The lines are those of a network of three
layers with examples in columns: dW2 = dZ2 @ A1.T, dA1 = W2.T @ dZ2, dZ1 = dA1 * slope(Z1), where slope is f′. The tests put
each wrong line into a network's backward pass and expect that the diagnosis gives it this code.
"""

from __future__ import annotations

from typing import NamedTuple


class Page(NamedTuple):
    """What a person should know of one mistake.

    `network` names the example in which the lines stand: sigmoid and binary cross-entropy if nothing is said.
    """

    why: str
    wrong: str
    right: str
    network: str = "sigmoid"


_DZ3, _DZ2, _DZ1 = "dZ3 = (A3 - Y) / m", "dZ2 = dA2 * slope(Z2)", "dZ1 = dA1 * slope(Z1)"
_DA2, _DA1 = "dA2 = W3.T @ dZ3", "dA1 = W2.T @ dZ2"
_DW2, _DW1, _DB2 = "dW2 = dZ2 @ A1.T", "dW1 = dZ1 @ X.T", "db2 = dZ2.sum(axis=1, keepdims=True)"
_MSE = "dZ3 = 2 * (A3 - Y) / (m * K)"
_PENALTY = "dW2 = dZ2 @ A1.T + lam / m * W2"
_DROPPED = "dA1 = W2.T @ dZ2 * D1 / keep_prob"

PAGES: dict[str, Page] = {
    "factor.examples": Page(
        "A loss that is the mean over the examples has the factor 1/m, and so has each of its derivatives. Without it the "
        "step of gradient descent grows with the number of examples, and a learning rate that suits one batch size is too "
        "large for another.",
        "dZ3 = A3 - Y",
        _DZ3,
    ),
    "factor.examples_twice": Page(
        "The factor 1/m of the mean belongs to the derivative of the loss, and every later formula inherits it from there. "
        "Where dZ is already divided by m, a second division makes the gradient m times too small: training still goes "
        "downhill, but much more slowly.",
        "dZ3 = (A3 - Y) / m / m",
        _DZ3,
    ),
    "factor.outputs": Page(
        "The mean squared error divides by the number of outputs K as well as by the number of examples. A gradient without "
        "that division belongs to the loss that sums over the outputs.",
        "dZ3 = 2 * (A3 - Y) / m",
        _MSE,
        "mse",
    ),
    "factor.outputs_twice": Page(
        "The loss divides by the number of outputs K once, so its derivative does so once. This often happens where a "
        "library's function has averaged over the outputs already.",
        "dZ3 = 2 * (A3 - Y) / (m * K) / K",
        _MSE,
        "mse",
    ),
    "factor.two": Page(
        "The derivative of a square has a factor 2, which a factor 1/2 in front of the loss cancels. The cross-entropy has "
        "no square at all. A 2 that is copied from another loss doubles the gradient, which looks like a doubled learning "
        "rate.",
        "dZ3 = 2 * (A3 - Y) / m",
        _DZ3,
    ),
    "factor.half": Page(
        "The derivative of (a - y)² is 2(a - y). Only a loss with 1/2 in front has the derivative a - y.",
        "dZ3 = (A3 - Y) / (m * K)",
        _MSE,
        "mse",
    ),
    "factor.sign": Page(
        "The gradient points in the direction in which the loss grows. With the other sign, gradient descent climbs. The "
        "mistake is often hidden by a second one, an update that adds the gradient in place of subtracting it.",
        "dZ3 = (Y - A3) / m",
        _DZ3,
    ),
    "factor.batch": Page(
        "The last batch of an epoch is usually smaller than the others, and a test has another number of examples again. "
        "The mean divides by the number of examples that are there, not by the number that was configured.",
        "dZ3 = (A3 - Y) / 32",
        _DZ3,
    ),
    "factor.constant": Page(
        "Every entry of the gradient is off by one and the same factor, which is none of the numbers that belong to this "
        "network. A learning rate, a momentum or a weight of the loss may have been multiplied in too early.",
        "dW2 = 1.37 * dZ2 @ A1.T",
        _DW2,
    ),
    "factor.zero": Page(
        "The loss is the sum of what the data and the penalty give, and so is its derivative. Where the penalty's term is "
        "written over the other one in place of being added to it, the weights shrink and learn nothing from the data.",
        "dW2 = lam / m * W2",
        _PENALTY,
        "l2",
    ),
    "factor.update": Page(
        "Gradient descent adds minus the learning rate times the gradient to the parameters. That product is the update and "
        "not the gradient: it has the other sign, and changes with the learning rate.",
        "dZ3 = -0.05 * (A3 - Y) / m",
        _DZ3,
    ),
    "slope.missing": Page(
        "By the chain rule ∂J/∂z is ∂J/∂a times ∂a/∂z, and ∂a/∂z is f′(z). Without it the layer is treated as if it had no "
        "activation, and all gradients of this layer and of those below are wrong.",
        "dZ2 = dA2",
        _DZ2,
    ),
    "slope.twice": Page(
        "The derivative of the activation belongs to one line only. Often one function returns dA already multiplied by it, "
        "and the line that calls this function multiplies again.",
        "dZ2 = dA2 * slope(Z2) * slope(Z2)",
        _DZ2,
    ),
    "slope.at_value": Page(
        "A function that works out f′ from the pre-activation z was given the activation a. The other convention exists as "
        "well: tanh′ is 1 - a² in terms of a and 1 - tanh²(z) in terms of z, and a function must get what it was written for.",
        "dZ2 = dA2 * slope(A2)",
        _DZ2,
    ),
    "slope.form": Page(
        "The formula for the derivative of the activation is not its derivative. For tanh it is 1 - a², for the sigmoid "
        "a(1 - a); a forgotten square or factor gives numbers of a plausible size.",
        "dZ2 = dA2 * (1 - A2)",
        "dZ2 = dA2 * (1 - A2**2)",
    ),
    "slope.of_flow": Page(
        "The derivative of an activation is taken where the activation was: at z, which the forward pass computed. What flows "
        "back is multiplied by it, and is no place at which anything is evaluated.",
        "dZ2 = np.tanh(dA2)",
        _DZ2,
    ),
    "slope.other_activation": Page(
        "The forward pass was changed to another activation and the backward pass was not, or the other way round. The "
        "gradient is then that of no network.",
        "dZ2 = dA2 * (Z2 > 0)",
        _DZ2,
    ),
    "slope.other_layer": Page(
        "Each layer has its own pre-activations, at which its derivative is taken. An index that is off by one takes those of "
        "a neighbour; nothing fails where both layers have the same width.",
        "dZ2 = dA2 * slope(Z1)",
        _DZ2,
    ),
    "dropout.mask_missing": Page(
        "A unit that was dropped in the forward pass had no influence on the loss, so that nothing flows back through it. "
        "The backward pass multiplies by the very mask that the forward pass drew.",
        "dA1 = W2.T @ dZ2",
        _DROPPED,
        "dropout",
    ),
    "dropout.scale_missing": Page(
        "Inverted dropout divides the units that it keeps by keep_prob. This factor is part of the forward pass and returns in "
        "its derivative.",
        "dA1 = W2.T @ dZ2 * D1",
        _DROPPED,
        "dropout",
    ),
    "dropout.scale_twice": Page(
        "The factor 1/keep_prob is applied once in the forward pass and therefore once in the backward pass. A mask that "
        "already holds the factor must not be divided again.",
        "dA1 = W2.T @ dZ2 * D1 / keep_prob / keep_prob",
        _DROPPED,
        "dropout",
    ),
    "output.extra_slope": Page(
        "The derivative of the cross-entropy by the output is (a - y)/(a(1 - a)), and the sigmoid's own derivative a(1 - a) "
        "cancels the denominator: a - y is already ∂J/∂z. One more factor a(1 - a) gives the gradient of the squared "
        "error, which is nearly zero where an output is confidently wrong.",
        "dZ3 = (A3 - Y) / m * A3 * (1 - A3)",
        _DZ3,
    ),
    "output.diagonal": Page(
        "Each probability of a softmax depends on all logits, so that its derivative is a full matrix with the entries "
        "p_i(δ_ij - p_j). Whoever multiplies by p(1 - p) keeps only its diagonal, as if the softmax were a row of "
        "sigmoids.",
        "dZ3 = -Y / A3 * A3 * (1 - A3) / m",
        _DZ3,
        "softmax",
    ),
    "output.divided_by_p": Page(
        "The derivative of log p by its logit is 1 - p, not the derivative of p itself. Whoever takes 1 - p for the "
        "derivative of the output and multiplies by -y/p has a wrong additional factor 1/p.",
        "dZ3 = (A3 - Y) / A3 / m",
        _DZ3,
        "softmax",
    ),
    "labels.missing": Page(
        "The derivative of the loss at the output is the difference between what the network says and what it should say. "
        "Without the labels the gradient pulls every output down, whatever the example.",
        "dZ3 = A3 / m",
        _DZ3,
    ),
    "labels.mean": Page(
        "NumPy subtracts a column from a row by forming every difference, a table of m by m numbers. Averaged or summed to "
        "the expected shape again, every example has been compared with the mean of all labels, and the network learns that "
        "mean.",
        "dZ3 = (A3 - Y.T).mean(axis=0, keepdims=True) / m",
        _DZ3,
        "single",
    ),
    "labels.class_shifted": Page(
        "Class numbers that start at 1 in one place and at 0 in another make the loss and its gradient speak of different "
        "classes.",
        "dZ3 = (A3 - np.roll(Y, 1, axis=0)) / m",
        _DZ3,
        "softmax",
    ),
    "labels.class_reversed": Page(
        "The backward pass has the classes in another order than the loss. The network is taught to confuse the first class "
        "with the last.",
        "dZ3 = (A3 - Y[::-1]) / m",
        _DZ3,
        "softmax",
    ),
    "labels.example_shifted": Page(
        "Inputs and labels were sliced with bounds that differ by one, or a loop reads the label before it has moved on. "
        "Each example is then taught its neighbour's label.",
        "dZ3 = (A3 - np.roll(Y, 1, axis=1)) / m",
        _DZ3,
        "softmax",
    ),
    "labels.example_reversed": Page(
        "Inputs or labels were turned round without the other, for example by a sort or by a slice with a negative step.",
        "dZ3 = (A3 - Y[:, ::-1]) / m",
        _DZ3,
        "softmax",
    ),
    "labels.layout": Page(
        "To exchange examples and classes an array must be transposed. A reshape keeps the numbers in the order in which they "
        "lie in memory and only cuts them into rows of another length, so that labels land at other examples.",
        "dZ3 = (A3 - Y.T.reshape(Y.shape)) / m",
        _DZ3,
        "softmax",
    ),
    "labels.coding": Page(
        "A cross-entropy takes labels 0 and 1, a hinge loss takes -1 and 1. Each formula of a gradient belongs to the coding "
        "of its loss, so labels that are coded anew on the way back give the gradient of nothing.",
        "dZ3 = (A3 - (2 * Y - 1)) / m",
        _DZ3,
    ),
    "labels.swapped": Page(
        "The backward pass takes class 1 for class 0 and the reverse, which is the gradient for a network that should say the "
        "opposite.",
        "dZ3 = (A3 - (1 - Y)) / m",
        _DZ3,
        "single",
    ),
    "labels.order": Page(
        "The inputs were shuffled and the labels were not, or each with a permutation of its own.",
        "dZ3 = (A3 - Y[:, [2, 0, 4, 1, 3]]) / m",
        _DZ3,
        "few",
    ),
    "loss.other": Page(
        "The loss that is reported and the loss whose gradient is followed are two different ones. Training minimises the "
        "second, while the printed value is the first.",
        "dZ3 = A3 * ((A3 - Y) - ((A3 - Y) * A3).sum(axis=0)) / m",
        _DZ3,
        "softmax",
    ),
    "loss.epsilon": Page(
        "A small number inside the logarithm keeps it finite, and it changes the loss. If it stands in the gradient it must "
        "stand in the loss, and neither needs it when both are worked out from the logits.",
        "dZ3 = (-Y / (A3 + 1e-3) + (1 - Y) / (1 - A3 + 1e-3)) * A3 * (1 - A3) / m",
        _DZ3,
    ),
    "loss.clipped": Page(
        "Where a probability is clipped it no longer depends on the logit. Loss and gradient must be made from the same "
        "numbers: clip in both or in neither.",
        "dZ3 = (np.clip(A3, 0.01, 0.99) - Y) / m",
        _DZ3,
        "confident",
    ),
    "way.transposed": Page(
        "The forward pass multiplies by W, and the way back multiplies by its transpose: unit j below receives the sum over "
        "the units i above of W[i, j]·dZ[i]. With a square W the untransposed product has the right shape and the wrong "
        "numbers.",
        "dA1 = W2 @ dZ2",
        _DA1,
    ),
    "way.other_weights": Page(
        "What flows from a layer to the one below passes through the weights between these two layers. An index that is off "
        "by one takes another layer's, which is noticed only if the shapes differ.",
        "dA1 = W3.T @ dZ2",
        _DA1,
    ),
    "way.no_weights": Page(
        "A unit below influences the units above through the weights, each as much as its weight says. Without them every "
        "unit gets the flow of the one that has its number.",
        "dA1 = dZ2",
        _DA1,
    ),
    "way.arrived": Page(
        "What is sent down is ∂J/∂z of the layer above, which has that layer's f′ in it. ∂J/∂a has not.",
        "dA1 = W2.T @ dA2",
        _DA1,
    ),
    "way.other_delta": Page(
        "The flow passed through the right weights and came from the wrong layer, so that one layer was jumped over.",
        "dA1 = W2.T @ dZ3",
        _DA1,
    ),
    "way.other_arrived": Page(
        "The derivative of this layer was multiplied with the flow that arrived at another one.",
        "dZ1 = dA2 * slope(Z1)",
        _DZ1,
    ),
    "way.other_matrix": Page(
        "The way down goes through the weights that the forward pass went up through. Their gradient has the same shape, and a "
        "slip of one letter puts it in their place.",
        "dA1 = dW2.T @ dZ2",
        _DA1,
        "l2",
    ),
    "way.updated_weights": Page(
        "All derivatives are taken at one point, the parameters of the forward pass. Where the layers above are updated "
        "first, the flow goes down through weights that the forward pass never had.",
        "W2 = W2 - 0.1 * dW2\ndA1 = W2.T @ dZ2",
        _DA1,
    ),
    "penalty.missing": Page(
        "The penalty is a part of the loss, and its derivative is a part of the gradient. Without it the loss that is "
        "printed contains a term that training does nothing about.",
        "dW2 = dZ2 @ A1.T",
        _PENALTY,
        "l2",
    ),
    "penalty.twice": Page(
        "The derivative of ½c·w² is c·w. A gradient of 2c·w belongs to the penalty without the ½.",
        "dW2 = dZ2 @ A1.T + 2 * lam / m * W2",
        _PENALTY,
        "l2",
    ),
    "penalty.half": Page(
        "The derivative of ½c·w² is c·w: the ½ has been used up by the square. A ½ in the gradient as well halves the penalty.",
        "dW2 = dZ2 @ A1.T + 0.5 * lam / m * W2",
        _PENALTY,
        "l2",
    ),
    "penalty.sign": Page(
        "The penalty grows with the weights, so that its gradient points away from zero and is added to the gradient. "
        "Subtracted, it makes the weights grow.",
        "dW2 = dZ2 @ A1.T - lam / m * W2",
        _PENALTY,
        "l2",
    ),
    "penalty.not_divided": Page(
        "Where the loss has λ/2m in front of the sum of squares, its derivative has λ/m. Without the division the penalty is m "
        "times as strong as the loss says.",
        "dW2 = dZ2 @ A1.T + lam * W2",
        _PENALTY,
        "l2",
    ),
    "penalty.divided": Page(
        "The penalty's term was divided by the number of examples together with the rest of the gradient, once more than the "
        "loss does it.",
        "dW2 = dZ2 @ A1.T + lam / m / m * W2",
        _PENALTY,
        "l2",
    ),
    "penalty.factor": Page(
        "The penalty's term has another coefficient than the loss, for example because one of the two was changed.",
        "dW2 = dZ2 @ A1.T + 3.3 * lam / m * W2",
        _PENALTY,
        "l2",
    ),
    "penalty.added": Page(
        "A multiple of the parameter is the gradient of an L2 penalty on it. Penalties usually leave the biases out, in the "
        "loss and therefore in the gradient.",
        "db2 = dZ2.sum(axis=1, keepdims=True) + lam / m * b2",
        _DB2,
        "l2",
    ),
    "penalty.sign_added": Page(
        "A multiple of the signs is the gradient of an L1 penalty, the sum of the absolute values. The loss has none on this "
        "parameter.",
        "dW2 = dZ2 @ A1.T + 0.1 * np.sign(W2)",
        _DW2,
    ),
    "penalty.value": Page(
        "The derivative of ½λ‖W‖² is λW, entry by entry. The value of the penalty is one number, and adding it to a matrix "
        "adds it to every entry without a complaint.",
        "dW2 = dZ2 @ A1.T + lam / m / 2 * (W2**2).sum()",
        _PENALTY,
        "l2",
    ),
    "penalty.number": Page(
        "The derivative of a penalty is as large as the parameter itself is, entry by entry. One number in its place, such as "
        "a norm or a sum, is added to every entry alike.",
        "dW2 = dZ2 @ A1.T + 0.37",
        _PENALTY,
        "l2",
    ),
    "value.one_number": Page(
        "Every weight has a derivative of its own. A sum over everything, where a product of matrices belongs, leaves one "
        "number, which broadcasting then spreads over the whole matrix.",
        "dW2 = np.full_like(W2, (dZ2 @ A1.T).sum())",
        _DW2,
    ),
    "value.number_added": Page(
        "Adding a number to a matrix adds it to every entry. The loss has no term whose derivative is the same for all "
        "weights, so the number comes from elsewhere: the value of a penalty, or a sum that did not begin at 0.",
        "dW2 = dZ2 @ A1.T + 0.37",
        _DW2,
    ),
    "value.zero": Page(
        "An array of zeros was prepared for this gradient and was never filled. The parameter stays what it was, while the "
        "other layers learn around it.",
        "dW2 = np.zeros_like(W2)",
        _DW2,
    ),
    "value.parameter": Page(
        "The parameter itself was stored under the gradient's name. Gradient descent then shrinks it by a fixed share in "
        "every step.",
        "dW2 = W2",
        _DW2,
    ),
    "value.step_taken": Page(
        "The result of the update was stored where the gradient belongs, often since one name serves for both.",
        "dW2 = W2 - 0.1 * dZ2 @ A1.T",
        _DW2,
    ),
    "value.clipped": Page(
        "Clipping changes the direction of the step on purpose. What is to be checked is the gradient before it is clipped.",
        "dW2 = np.clip(dZ2 @ A1.T, -0.01, 0.01)",
        _DW2,
    ),
    "value.single_precision": Page(
        "One array in single precision rounds everything that is made from it to some seven digits, even though the result "
        "is stored with sixteen. This is no wrong formula, and it hides small mistakes.",
        "dW2 = dZ2 @ A1.astype(np.float32).T",
        _DW2,
    ),
    "value.not_finite": Page(
        "A number overflowed, or 0 was divided by 0. The usual place is an output that is so sure of itself that it is exactly "
        "0 or 1. Write a - y there, which is what remains after the division by a(1 - a) has cancelled.",
        "dZ3 = (A3 - Y) / (A3 * (1 - A3)) * (A3 * (1 - A3)) / m",
        _DZ3,
        "saturated",
    ),
    "order.transposed": Page(
        "The gradient has the shape of its parameter: with W of shape (out, in) it is dZ·aᵀ, with W of shape (in, out) it is "
        "a·dZᵀ. With as many units as inputs both have the same shape.",
        "dW2 = A1 @ dZ2.T",
        _DW2,
    ),
    "order.flattened": Page(
        "The gradient was laid out in a vector by rows and read again by columns, as when code in one language hands over "
        "to code in another. The numbers are right and stand at the wrong weights.",
        'dW1 = (dZ1 @ X.T).ravel().reshape(W1.shape, order="F")',
        _DW1,
    ),
    "order.rows": Page(
        "Each unit got the gradient of another unit, for example since the units were sorted, or a loop runs from the last to "
        "the first.",
        "dW1 = (dZ1 @ X.T)[::-1]",
        _DW1,
    ),
    "order.columns": Page(
        "Each weight got the gradient of the weight to another input. The inputs of the backward pass stand in another order "
        "than those of the forward pass.",
        "dW1 = (dZ1 @ X.T)[:, ::-1]",
        _DW1,
    ),
    "order.other_tensor": Page(
        "Gradients were collected from the output inwards and handed over from the input outwards, or an index is off by one.",
        "dW2 = dZ3 @ A2.T",
        _DW2,
    ),
    "product.arrived": Page(
        "The weights act on z, and so their gradient is made from ∂J/∂z. ∂J/∂a has not gone through the activation yet.",
        "dW2 = dA2 @ A1.T",
        _DW2,
    ),
    "product.other_delta": Page(
        "The gradient of a layer's weights is the product of what leaves the layer on the way back, its own dZ, and what "
        "enters it on the way forward.",
        "dW2 = dZ3 @ A1.T",
        _DW2,
    ),
    "product.z": Page(
        "What a layer multiplies by its weights is the activation of the layer below, not the pre-activation. The two agree "
        "only where the activation does nothing, as relu does above zero.",
        "dW2 = dZ2 @ Z1.T",
        _DW2,
    ),
    "product.unscaled": Page(
        "What entered the layer in the forward pass had been divided by keep_prob already, and the gradient of the weights is "
        "made from exactly that.",
        "dW2 = dZ2 @ (np.tanh(Z1) * D1).T",
        _DW2,
        "dropout",
    ),
    "product.other_inputs": Page(
        "The gradient of a layer's weights is made from what entered this layer: the activation below it, not its own.",
        "dW2 = dZ2 @ A2.T",
        _DW2,
    ),
    "bias.one_number": Page(
        "Each unit has its own bias, whose gradient is the sum of the unit's dZ over the examples. A sum without an axis "
        "adds up the units as well, and broadcasting hides it in the update.",
        "db2 = np.full_like(b2, dZ2.sum())",
        _DB2,
    ),
    "bias.one_mean": Page(
        "Each unit has its own bias, whose gradient is the sum of the unit's dZ over the examples. A mean without an axis "
        "makes one number of all units and examples, and broadcasting hides it in the update.",
        "db2 = np.full_like(b2, dZ2.mean())",
        _DB2,
    ),
    "bias.from_weights": Page(
        "The bias multiplies 1, not the inputs: its gradient is dZ summed over the examples. The row sums of dW are that sum "
        "weighted with the inputs.",
        "db2 = dW2.sum(axis=1, keepdims=True)",
        _DB2,
    ),
    "bias.wrong_axis": Page(
        "The sum over the units leaves one number for each example. It fits into the bias only where there are as many "
        "examples as units, and so it may go unnoticed in a test.",
        "db2 = dZ2.sum(axis=0).reshape(b2.shape)",
        _DB2,
        "square",
    ),
    "examples.only": Page(
        "In a loop over the examples the gradient is assigned where it should be added up, so that the last example replaces "
        "all others.",
        "dW2 = dZ2[:, -1:] @ A1[:, -1:].T",
        _DW2,
    ),
    "examples.missing": Page(
        "A loop over the examples starts one too late or ends one too early, while the mean still divides by their number.",
        "dW2 = dZ2[:, 1:] @ A1[:, 1:].T",
        _DW2,
    ),
    "part.entry": Page(
        "A formula for whole arrays cannot be wrong in one entry. Something treats this entry differently: an index, the end "
        "of a loop, an assignment that was left over from a test.",
        "dW2 = dZ2 @ A1.T\ndW2[1, 2] += 0.01",
        _DW2,
    ),
    "part.row": Page(
        "All weights of one unit are wrong and the other units are right. A loop over the units ends too early, or treats its "
        "first or last turn differently.",
        "dW1 = dZ1 @ X.T\ndW1[4] += [0.01, -0.02, 0.03, 0.015]",
        _DW1,
    ),
    "part.column": Page(
        "The weights to one input are wrong in all units and the others are right. A loop over the inputs ends too early, or "
        "a column that stands for the bias is treated as an input.",
        "dW1 = dZ1 @ X.T\ndW1[:, 3] += [0.01, -0.02, 0.03, 0.015, -0.04]",
        _DW1,
    ),
    "edit.line": Page(
        "No mistake in the table gives these numbers, but a small change of one line does: another name, another operation, a "
        "part that is left out or there twice, other parentheses. The report shows the line as it should be and the line that "
        "gives the claimed numbers. Yours may be written differently and come to the same.",
        "dZ2 = dA2 * 1 - A2**2",
        "dZ2 = dA2 * (1 - A2**2)",
    ),
    "elsewhere.before": Page(
        "A training loop updates the parameters as soon as it has their gradient. Whoever saves both after the loop has the "
        "gradient of the old parameters beside the new ones: no mistake in the backward pass, but no pair that belongs "
        "together.",
        "update(0.1)\nsaved = copies()",
        "saved = copies()",
        "saved",
    ),
    "elsewhere.after": Page(
        "The parameters were saved at the beginning of a step, and the gradient was taken again after the update, or in the "
        "next step.",
        "saved = copies()\nupdate(0.1)\ntake_the_gradient()",
        "saved = copies()",
        "saved",
    ),
    "elsewhere.examples": Page(
        "Training takes the gradient of one batch at a time. It is not the gradient of all examples, and belongs to a check "
        "with those of its batch.",
        "take_the_gradient(X[:, 2:5], Y[:, 2:5])\nsaved = copies()",
        "saved = copies()",
        "saved",
    ),
    "tied.part": Page(
        "The decoder of an autoencoder often uses the transpose of the encoder's weights. That is one array: a change of an "
        "entry changes both layers, and so its gradient is the sum of what comes from both.",
        "dW3 = dZ3 @ A2.T",
        "dW3 = dW2.T",
        "tied",
    ),
    "unknown.tensor": Page(
        "The flow into the layer is right, and no mistake in the table makes these numbers of it. The report says which "
        "entries are wrong and what comes nearest.",
        "dW2 = dZ2 @ A1.T + 0.01 * np.random.default_rng(0).normal(size=W2.shape)",
        _DW2,
    ),
    "unknown.flow": Page(
        "All layers from some place downwards are wrong, and no mistake in the table explains them. The report says between "
        "which two steps the error enters; hand over your own dZ and dA to narrow it down.",
        "dZ2 = dA2 * slope(Z2) + 0.01 * np.random.default_rng(0).normal(size=Z2.shape)",
        _DZ2,
        "steps",
    ),
    "declaration.activation": Page(
        "A gradient can only be checked for the network that was declared. Two activations that are nearly the same, such as "
        "gelu and its approximation by tanh, or a leaky relu with another slope, are two networks.",
        "f, df = np.arctan, lambda Z: 1 / (1 + Z**2)",
        "f, df = np.tanh, slope",
        "declared",
    ),
    "declaration.loss": Page(
        "The gradient is right, but for another loss. The most frequent mix-up is a - y, the derivative of the cross-entropy, "
        "beside a squared error, or the derivative of the squared error beside the cross-entropy.",
        "dZ3 = 2 * (A3 - Y) / (m * K) * A3 * (1 - A3)",
        _DZ3,
    ),
    "declaration.reduction": Page(
        "Some programs add up the losses of the examples, others divide by their number. Loss value and gradient agree with "
        "each other here, so that it is the declaration that differs.",
        "divisor = 1",
        "divisor = m",
        "declared",
    ),
    "declaration.labels": Page(
        "The code trains on other numbers than the labels that were handed over: smoothed ones, or -1 and 1 in place of 0 and "
        "1.",
        "T = 0.9 * Y + 0.05",
        "T = Y",
        "declared",
    ),
    "declaration.weights": Page(
        "Weights were declared that neither the loss nor the gradient has.",
        "w = np.ones(m)",
        "w = weights",
        "declared",
    ),
    "declaration.dropout": Page(
        "Inverted dropout divides the units that it keeps by keep_prob, the older form does not. Forward and backward pass "
        "agree with each other here. Where no dropout was declared, exact zeros of whole units show it, and which units were "
        "dropped.",
        "D = D1",
        "D = D1 / keep_prob",
        "declared",
    ),
    "declaration.penalty": Page(
        "A penalty can be written in several ways: with or without a 1/2, divided by the number of examples or not, with the "
        "biases or without them. The code has another one than the declared one, in the loss and in the gradient.",
        "penalty = lam",
        "penalty = lam / m",
        "declared",
    ),
}
"""By code, in the order of `fastgrad.diagnosis.codes.CODES`."""
