"""The table of mistakes: for each stable code what was done and how to repair it, in words that `words` fills in.

`fastgrad explain CODE` shows it. Codes never change their meaning; new ones may come.
"""

from __future__ import annotations

from typing import NamedTuple


class Code(NamedTuple):
    """One mistake.

    `loss` says of which loss the gradient is the right one where the mistake is everywhere, `line` how the line reads that
    makes these numbers. In the texts {grad} is the user's
    gradient, {parameter} its parameter, {dZ}, {dA}, {Z}, {A} the layer's own, {above} and {below} the numbers of the
    neighbouring layers, {f} the activation, {factor} and {other} what tells it apart.
    """

    title: str
    sentence: str
    repair: str
    formula: str = ""
    separate: str = "another test point (other widths, other numbers of examples)"
    loss: str = ""
    line: str = ""


BY_EXAMPLES = "a test with another number of examples"
BY_OUTPUTS = "a test with another number of outputs"
BY_WIDTHS = "layers of different widths"

_LOSS_VALUE = "your own value of the loss, as loss_value"

CODES: dict[str, Code] = {
    "factor.examples": Code(
        "not divided by the number of examples",
        "{grads} {are} {factor} times too large, the number of examples m: the division by m is missing.",
        "Divide {once} by m.",
        "{right}",
        BY_EXAMPLES,
        loss="the loss summed over the examples",
        line="{grad} = m·({right_side})",
    ),
    "factor.examples_twice": Code(
        "divided by the number of examples once too often",
        "{grads} {are} 1/{inverse} of the right gradient, {inverse} being the number of examples m: "
        "divided by m once too often.",
        "Divide by m once only: where 1/m stands in {dZ} already, sum without it.",
        "{right}",
        BY_EXAMPLES,
        loss="the loss divided by the number of examples once more",
        line="{grad} = ({right_side})/m",
    ),
    "factor.outputs": Code(
        "summed over the outputs where the loss averages",
        "{grads} {are} {factor} times too large, the number of outputs: summed over the outputs where an average belongs.",
        "Divide by the number of outputs as well, or declare a loss that sums over them.",
        "{right}",
        BY_OUTPUTS,
        loss="the loss summed over the outputs",
    ),
    "factor.outputs_twice": Code(
        "averaged over the outputs once too often",
        "{grads} {are} 1/{inverse} of the right gradient, {inverse} being the number of outputs: averaged over the outputs "
        "once too often.",
        "Leave one division by the number of outputs out, or declare the loss that has it.",
        "{right}",
        BY_OUTPUTS,
        loss="the loss divided by the number of outputs once more",
    ),
    "factor.two": Code(
        "a stray factor 2",
        "{grads} {are} 2 times too large.",
        "Look for a factor 2 that does not belong in {wrong}: for a loss with 1/2 in front, the derivative has no 2.",
        "{right}",
        "a test with other numbers of examples and outputs",
        loss="twice the loss, as without a 1/2 in front",
        line="{grad} = 2·({right_side})",
    ),
    "factor.half": Code(
        "a stray factor 1/2",
        "{grads} {are} half the right gradient.",
        "Look for a stray 1/2 in {wrong}, or a missing 2: the derivative of a square without 1/2 in front has one.",
        "{right}",
        "a test with other numbers of examples and outputs",
        loss="half the loss, as with a 1/2 in front",
        line="{grad} = ½·({right_side})",
    ),
    "factor.sign": Code(
        "the sign turned round",
        "{grads} {have} the wrong sign.",
        "Turn the sign in {wrong}: y - a where a - y belongs, or the direction of descent in place of the gradient.",
        "{right}",
        loss="the negative loss",
        line="{grad} = -({right_side})",
    ),
    "factor.batch": Code(
        "divided by a batch size that is not the number of examples",
        "{grads} {are} {factor} times the right gradient, m/{other}: divided by {other} where there are {m} examples.",
        "Divide by the number of examples that are really there, not by the configured batch size.",
        "{right}",
        BY_EXAMPLES,
    ),
    "factor.constant": Code(
        "a stray constant",
        "{grads} {are} {factor} times {large}{made}.",
        "Look for a stray factor in {wrong}.",
        "{right}",
        line="{grad} = {factor}·({right_side})",
    ),
    "factor.zero": Code(
        "the data's share left out",
        "{grads} {hold} the penalty's term only: the gradient of the data is missing.",
        "Add the penalty's term to the gradient of the data, do not put it in its place.",
        "{right} + {term}",
        line="{grad} = {term}",
    ),
    "factor.update": Code(
        "the update in place of the gradient",
        "All gradients are {factor} times the right ones, as the update of gradient descent with a learning rate of {rate} is: "
        "minus {rate} times the gradient.",
        "Return the gradient itself, without learning rate and sign.",
        "{right}",
    ),
    "slope.missing": Code(
        "f′ left out",
        "{dZ} {lack_Z} the derivative of {f}: {dA} went on without {slopes}.",
        "Multiply: {step}.{hint}",
        "{step}",
        line="dZ{layer} = dA{layer}",
    ),
    "slope.twice": Code(
        "f′ multiplied in twice",
        "{dZ} {have_Z} the derivative of {f} twice.",
        "Multiply by {slopes} once.",
        "{step}",
        line="dZ{layer} = dA{layer} ⊙ f′(Z{layer})²",
    ),
    "slope.at_value": Code(
        "f′ evaluated at a where z belongs",
        "{dZ} {have_Z} {slopes_at_A} where {slopes} {belong_Z}: the derivative of {f} was taken at the activation.",
        "Hand {Z} to the derivative, or write it in terms of {A}.",
        "{step}",
        line="dZ{layer} = dA{layer} ⊙ f′(A{layer})",
    ),
    "slope.form": Code(
        "a wrong formula for f′",
        "{dZ} {have_Z} {other} for the derivative of {f}.",
        "The derivative of {f} is {derivative}.",
        "{step}",
        line="dZ{layer} = dA{layer} ⊙ ({other})",
    ),
    "slope.of_flow": Code(
        "the activation of the flow in place of its derivative",
        "{dZ} {are_Z} {f}, or its derivative, of {dA} itself: the line marked + gives these numbers to rounding.",
        "Multiply {dA} by the derivative at {Z}: {step}.",
        "{step}",
    ),
    "slope.other_activation": Code(
        "the derivative of another activation",
        "{dZ} {have_Z} the derivative of {other} where the layer is {f}.",
        "Use the derivative of {f}: {derivative}.",
        "{step}",
        "values of z of both signs",
        line="dZ{layer} = dA{layer} ⊙ {other}′(Z{layer})",
    ),
    "slope.other_layer": Code(
        "the derivative at another layer's z",
        "{dZ} {have_Z} the derivative at Z{other}, another layer's.",
        "Use the layer's own: f′({Z}).",
        "{step}",
        BY_WIDTHS,
        line="dZ{layer} = dA{layer} ⊙ f′(Z{other})",
    ),
    "dropout.mask_missing": Code(
        "dropout mask not applied backward",
        "{dZ} {are_Z} made without the dropout mask D{layer}.",
        "Multiply {dA} by the mask, and by its factor 1/keep_prob, as in the forward pass.",
        "dA{layer} = dA{layer} ⊙ D{layer} / keep_prob",
    ),
    "dropout.scale_missing": Code(
        "dropout's factor left out backward",
        "{dZ} {are_Z} masked but not divided by keep_prob.",
        "Divide {dA} by keep_prob, as in the forward pass.",
        "dA{layer} = dA{layer} ⊙ D{layer} / keep_prob",
    ),
    "dropout.scale_twice": Code(
        "dropout's factor applied twice backward",
        "{dZ} {are_Z} divided by keep_prob twice.",
        "Divide {dA} by keep_prob once.",
        "dA{layer} = dA{layer} ⊙ D{layer} / keep_prob",
    ),
    "output.extra_slope": Code(
        "an extra a(1 - a) at the output",
        "{dZ} has an extra factor a(1 - a): cross-entropy and {f} together give a - y, the derivative is in it already.",
        "Leave a(1 - a) out: {right}.",
        "{right}",
    ),
    "output.diagonal": Code(
        "only the diagonal of softmax's Jacobian",
        "{dZ} has the diagonal of softmax's Jacobian only, p(1 - p): the other outputs' probabilities move too.",
        "Use {right}, which has the whole Jacobian in it.",
        "{right}",
    ),
    "output.divided_by_p": Code(
        "softmax's derivative taken as 1 - p",
        "{dZ} is divided by the probabilities: the derivative of the output was taken as 1 - p.",
        "Use {right}.",
        "{right}",
    ),
    "labels.missing": Code(
        "labels left out",
        "{dZ} is made without the labels: a where a - y belongs.",
        "Subtract the labels.",
        "{right}",
        line="dZ{layer} = A{layer}/m",
    ),
    "labels.mean": Code(
        "labels broadcast against each other",
        "{dZ} has the mean of all labels for every example: (m,) against (m, 1) was broadcast to (m, m).",
        "Give labels and outputs the same shape before they are subtracted.",
        "{right}",
    ),
    "labels.class_shifted": Code(
        "labels shifted by one class",
        "{dZ} has the labels shifted by {other} class: counted from 1 where 0 belongs, or the reverse.",
        "Count classes from 0 in the backward pass as in the loss.",
        "{right}",
    ),
    "labels.class_reversed": Code(
        "classes in reverse order",
        "{dZ} has the classes of the labels in reverse order.",
        "Order the classes as the loss does.",
        "{right}",
    ),
    "labels.example_shifted": Code(
        "labels of the neighbouring examples",
        "{dZ} has the labels shifted by {other} example: every example got its neighbour's.",
        "Keep inputs and labels together when they are sliced or shuffled.",
        "{right}",
    ),
    "labels.example_reversed": Code(
        "labels in reverse order",
        "{dZ} has the labels of the examples in reverse order.",
        "Keep inputs and labels together.",
        "{right}",
    ),
    "labels.layout": Code(
        "labels in the wrong layout",
        "{dZ} has the labels reshaped where they should be transposed.",
        "Transpose the labels (Y.T), do not reshape them.",
        "{right}",
        "labels that differ from example to example",
    ),
    "labels.coding": Code(
        "labels of another coding",
        "{dZ} has labels of another coding than the loss: the line marked + gives these numbers to rounding.",
        "Code the labels in the backward pass as in the loss: 0 and 1, or -1 and 1.",
        "{right}",
    ),
    "labels.swapped": Code(
        "labels 0 and 1 swapped",
        "{dZ} has 1 - y where y belongs.",
        "Use the labels that the loss has.",
        "{right}",
    ),
    "labels.order": Code(
        "labels of other examples",
        "{dZ} has the labels in another order than the inputs: example by example those of {other}.",
        "Shuffle inputs and labels together.",
        "{right}",
    ),
    "loss.other": Code(
        "the gradient of another loss",
        "{dZ} is that of the {other}, where your loss is {loss}.",
        "Change one of the two: the loss, or its derivative.",
        "{right}",
    ),
    "loss.epsilon": Code(
        "a small number added to the probabilities",
        "{dZ} is the gradient of a loss with log(p + {other}): your loss, {loss}, has no such number.",
        "Work out loss and gradient from the logits, or leave the number out of both.",
        "{right}",
        "outputs that are not sure",
    ),
    "loss.clipped": Code(
        "probabilities clipped",
        "{dZ} is made of probabilities clipped at {other}: the loss is not.",
        "Work out loss and gradient from the logits, or clip in neither.",
        "{right}",
        "outputs that are not sure",
    ),
    "way.transposed": Code(
        "W transposed the wrong way",
        "{dA} {were_Z} made with {Ws_above} where the transpose belongs.",
        "Transpose {Ws_above} on the way down.",
        "{way}",
        BY_WIDTHS,
    ),
    "way.other_weights": Code(
        "another layer's weights on the way down",
        "{dA} {were_Z} made with {other_W} where {Ws_above} belongs.",
        "Use {Ws_above}, the weights between the two layers.",
        "{way}",
        BY_WIDTHS,
    ),
    "way.no_weights": Code(
        "weights left out on the way down",
        "{dA} {are_Z} dZ{above}: {Ws_above} left out.",
        "Multiply by {Ws_above} on the way down.",
        "{way}",
        BY_WIDTHS,
    ),
    "way.arrived": Code(
        "dA sent down where dZ belongs",
        "{dA} {were_Z} made of dA{above} where dZ{above} belongs: f′ of layer {above} is missing from what goes down.",
        "Send dZ{above} down, not dA{above}.",
        "{way}",
    ),
    "way.other_delta": Code(
        "another layer's dZ sent down",
        "{dA} {were_Z} made of dZ{other} where dZ{above} belongs.",
        "Send dZ{above} down.",
        "{way}",
        BY_WIDTHS,
    ),
    "way.other_arrived": Code(
        "another layer's dA",
        "{dZ} was made of dA{other} where {dA} belongs.",
        "Use {dA}.",
        "{way}",
        BY_WIDTHS,
    ),
    "way.other_matrix": Code(
        "another matrix on the way down",
        "{dA} {were_Z} made with another matrix where {Ws_above} belongs: the line marked + gives these numbers to rounding.",
        "Use {Ws_above}, the weights between the two layers.",
        "{way}",
        BY_WIDTHS,
    ),
    "way.updated_weights": Code(
        "weights updated before the flow went down",
        "{dA} {were_Z} made with {Ws_above} already updated (learning rate {other}).",
        "Work out all gradients first, update the weights afterwards.",
        "{way}",
    ),
    "penalty.missing": Code(
        "penalty left out of the gradient",
        "{grads} {lack} the penalty's term: λ·{of} is not added.",
        "Add {term} to {grad}, or take the penalty out of the loss.",
        "{right} + {term}",
        loss="the loss without this penalty",
    ),
    "penalty.twice": Code(
        "penalty doubled",
        "{grads} {have} twice the penalty's term: 2λ·{of} where the loss has {half_value}.",
        "Take {term} in place of {their_term}, or leave the 1/2 out of the loss.",
        "{right} + {term}",
        loss="the loss with twice this penalty, λ‖W‖² for ½λ‖W‖²",
    ),
    "penalty.half": Code(
        "penalty halved",
        "{grads} {have} half the penalty's term: λ·{of} where the loss has {value_of_it}.",
        "Take {term} in place of {their_term}, or put 1/2 before the penalty of the loss.",
        "{right} + {term}",
        loss="the loss with half this penalty, ½λ‖W‖² for λ‖W‖²",
    ),
    "penalty.sign": Code(
        "penalty with the wrong sign",
        "{grads} {have} the penalty's term with the wrong sign.",
        "Add {term}, do not subtract it.",
        "{right} + {term}",
    ),
    "penalty.not_divided": Code(
        "penalty not divided by the number of examples",
        "{grads} {have} m times the penalty's term: λ·{of} where the loss has λ/m.",
        "Divide the penalty's term by m as the loss does.",
        "{right} + {term}",
        BY_EXAMPLES,
        loss="the loss with λ in the penalty where yours has λ/m",
    ),
    "penalty.divided": Code(
        "penalty divided by the number of examples",
        "{grads} {have} the penalty's term divided by m, which the loss does not do.",
        "Leave the division out, or divide the penalty in the loss too.",
        "{right} + {term}",
        BY_EXAMPLES,
        loss="the loss with λ/m in the penalty where yours has λ",
    ),
    "penalty.factor": Code(
        "penalty times a constant",
        "{grads} {have} {factor} times the penalty's term.",
        "Take {term}, as the loss has it, in place of {their_term}.",
        "{right} + {term}",
        loss="the loss with so many times this penalty",
    ),
    "penalty.added": Code(
        "a multiple of the parameter added that no penalty asks for",
        "{grads} {have} {factor}·{parameter} added: the gradient of a penalty that the loss does not have there.",
        "Take it out, or declare the penalty: l2 = {factor} for {parameter}.",
        "{right}",
        loss="the loss with a penalty on these tensors too",
    ),
    "penalty.sign_added": Code(
        "a multiple of sign W added",
        "{grads} {have} {factor}·sign({parameter}) added: the gradient of an L1 penalty that the loss does not have.",
        "Take it out, or declare the penalty: l1.",
        "{right}",
    ),
    "penalty.value": Code(
        "the penalty's value in place of its derivative",
        "{grads} {have} the same number, {value}, added to every entry: the penalty's value, made of Σ{parameter}², where its "
        "derivative belongs.",
        "Add {l2}·{parameter}, the derivative of the penalty, entry by entry.",
        "{right} + {l2}·{parameter}",
    ),
    "penalty.number": Code(
        "one number in place of the penalty's derivative",
        "{grads} {have} the same number, {value}, added to every entry, where the derivative of the penalty belongs.",
        "Add {l2}·{parameter}, the derivative of the penalty, entry by entry.",
        "{right} + {l2}·{parameter}",
    ),
    "value.one_number": Code(
        "one number in place of a matrix",
        "{grads} {hold} one number all over, {other} of all entries.",
        "Keep the matrix: a product of matrices, not a sum over everything.",
        "{right}",
    ),
    "value.number_added": Code(
        "one number added to every entry",
        "{grads} {have} the same number, {value}, added to every entry.",
        "Look for what is added to {grad} and is one number: the value of a penalty, a sum that did not begin at 0.",
        "{right}",
    ),
    "value.zero": Code(
        "zeros",
        "{grads} {are} zero throughout; the numerical gradient is not.",
        "Work {grad} out and store it: it was left out, or written into another array.",
        "{right}",
        line="{grad} = 0",
    ),
    "value.parameter": Code(
        "the parameter in place of its gradient",
        "{grads} {are} {parameter} itself, not the gradient.",
        "Return the gradient, not the parameter.",
        "{right}",
        line="{grad} = {parameter}",
    ),
    "value.step_taken": Code(
        "the updated parameter in place of the gradient",
        "{grads} {are} the parameter after a step of gradient descent (times {factor}).",
        "Return the gradient, not the updated parameter.",
        "{right}",
        line="{grad} = {parameter} + ({factor})·gradient",
    ),
    "value.clipped": Code(
        "clipped",
        "{grads} {are} clipped at ±{factor}.",
        "Check the gradient before it is clipped.",
        "{right}",
    ),
    "value.single_precision": Code(
        "single precision on the way",
        "{grads} {are} right to single precision only: somewhere in a float64 path numbers are float32.",
        "Look for astype(float32), a default dtype, arrays read as float32, or constants of six or seven digits.",
    ),
    "value.not_finite": Code(
        "nan or inf",
        "{grads} {hold} nan or inf.",
        "Look for a division by zero, a logarithm of 0 or an overflow in exp.",
    ),
    "order.transposed": Code(
        "transposed",
        "{grads} {are} transposed.",
        "Exchange the two factors: {right}.",
        "{right}",
        BY_WIDTHS,
    ),
    "order.flattened": Code(
        "flattened in the other order",
        "{grads} {have} the right numbers in another order: flattened by rows and read by columns, or reshaped where a "
        "transpose belongs.",
        "Flatten and reshape in one order, or transpose.",
        "{right}",
    ),
    "order.rows": Code(
        "units in another order",
        "{grads} {have} the right numbers with the units in another order.",
        "Keep the order of the units.",
        "{right}",
    ),
    "order.columns": Code(
        "inputs in another order",
        "{grads} {have} the right numbers with the inputs in another order.",
        "Keep the order of the inputs.",
        "{right}",
    ),
    "order.other_tensor": Code(
        "another layer's gradient",
        "{grads} {are} the gradient of layer {other}.",
        "Hand the gradients over in the order of the parameters.",
        "{right}",
        BY_WIDTHS,
    ),
    "product.arrived": Code(
        "dA where dZ belongs",
        "{grads} {are} made of {dA} where {dZ} belongs: f′ is missing.",
        "Use {dZ} = {dA} ⊙ f′({Z}).",
        "{right}",
    ),
    "product.other_delta": Code(
        "another layer's dZ",
        "{grads} {are} made of dZ{other} where {dZ} belongs.",
        "Use {dZ}.",
        "{right}",
        BY_WIDTHS,
    ),
    "product.z": Code(
        "z where a belongs",
        "{grads} {are} made of Z{below} where A{below} belongs.",
        "Use the activation A{below}, what really enters the layer.",
        "{right}",
        "pre-activations below zero",
    ),
    "product.unscaled": Code(
        "inputs without dropout's factor",
        "{grads} {are} made of A{below} without dropout's factor 1/keep_prob.",
        "Use A{below} as it enters the layer.",
        "{right}",
    ),
    "product.other_inputs": Code(
        "another layer's a",
        "{grads} {are} made of A{other} where A{below} belongs.",
        "Use A{below}, what enters the layer.",
        "{right}",
        BY_WIDTHS,
    ),
    "bias.one_number": Code(
        "db summed to one number",
        "{grads} {hold} one number, the sum over all units: the axis of the sum is missing.",
        "Sum over the examples only: {axis}.",
        "{right}",
    ),
    "bias.one_mean": Code(
        "db averaged to one number",
        "{grads} {hold} one number, the mean over all units: the axis is missing.",
        "Sum over the examples only: {axis}.",
        "{right}",
    ),
    "bias.from_weights": Code(
        "db from the sums of dW",
        "{grads} {are} the sum over the inputs of dW{layer}.",
        "Sum {dZ} over the examples.",
        "{right}",
    ),
    "bias.wrong_axis": Code(
        "db summed along the wrong axis",
        "{grads} {are} summed over the units where the examples belong.",
        "Sum over the examples: {axis}.",
        "{right}",
        "a test with a number of examples that is no width",
    ),
    "examples.only": Code(
        "one example's share only",
        "{grads} {hold} the share of example {other} only{times}.",
        "Add up over the examples: += where = stands.",
        "{right}",
        BY_EXAMPLES,
    ),
    "examples.missing": Code(
        "one example left out",
        "{grads} {lack} the share of example {other}.",
        "Let the loop run over all examples.",
        "{right}",
        BY_EXAMPLES,
    ),
    "part.entry": Code(
        "one entry wrong",
        "{grads} {are} wrong in one entry, [{other}]; the rest is exact.",
        "Look for what treats this entry differently: an index, the end of a loop.",
        "{right}",
    ),
    "part.row": Code(
        "one unit's entries wrong",
        "{grads} {are} wrong in unit {other} only; the rest is exact.",
        "Look for what treats this unit differently: an index, the end of a loop.",
        "{right}",
    ),
    "part.column": Code(
        "one input's entries wrong",
        "{grads} {are} wrong for input {other} only; the rest is exact.",
        "Look for what treats this input differently: an index, the end of a loop.",
        "{right}",
    ),
    "edit.line": Code(
        "a line of the backward pass is another one",
        "{grads} {are} to rounding what the line marked + gives, where the line marked - belongs.",
        "Compare this line of your code with the one marked -.",
        "{right}",
    ),
    "elsewhere.before": Code(
        "the gradient before a step that has been taken",
        "All gradients are right for the parameters before a step of rate {other}: those that were given are updated already.",
        "Give the parameters of which the gradient was taken: copy them before the update.",
    ),
    "elsewhere.after": Code(
        "the gradient after a step that is still to be taken",
        "All gradients are right for the parameters after a step of rate {other}: they were taken one step later.",
        "Give the parameters of which the gradient was taken: those after the update.",
    ),
    "elsewhere.examples": Code(
        "the gradient of some of the examples",
        "All gradients are right for examples {other} alone, counted from 0: they are of a part of what was given.",
        "Give the examples of which the gradient was taken, or take it of all.",
        "",
        BY_EXAMPLES,
    ),
    "unknown.tensor": Code(
        "wrong, by no mistake in the table",
        "{place}",
        "Compare this step of the code with the formula.",
        "{right}",
    ),
    "unknown.flow": Code(
        "the flow is wrong, by no mistake in the table",
        "{place}",
        "Compare this step of the code with the formula.",
        "{dZ} = {dA} ⊙ f′({Z})",
    ),
    "declaration.activation": Code(
        "the gradient of a network with another activation",
        "This is exactly the gradient of a network with another activation than the declared one.",
        "Change one of the two: declare the activation that the forward pass has, or change the code.",
        separate=_LOSS_VALUE,
    ),
    "declaration.loss": Code(
        "the gradient of another loss than the declared one",
        "This is exactly the gradient of another loss than the declared one.",
        "Change one of the two: declare the loss whose gradient this is, or change the code.",
        separate=_LOSS_VALUE,
    ),
    "declaration.reduction": Code(
        "the examples put together in another way than declared",
        "This is exactly the gradient of the loss summed over the examples where the mean is declared, or the reverse.",
        "Change one of the two: declare the reduction, sum or mean, or change the code.",
        separate=_LOSS_VALUE,
    ),
    "declaration.labels": Code(
        "labels coded in another way than declared",
        "This is exactly the gradient for labels that are coded or smoothed in another way than the declared ones.",
        "Change one of the two: hand over the labels that the code trains on, declare the smoothing, or change the code.",
        separate=_LOSS_VALUE,
    ),
    "declaration.weights": Code(
        "declared weights that the loss does not have",
        "This is exactly the gradient of the loss without the declared weights of examples or classes.",
        "Change one of the two: leave the weights out of the declaration, or put them into the code.",
        separate=_LOSS_VALUE,
    ),
    "declaration.dropout": Code(
        "another dropout than the declared one",
        "This is exactly the gradient of the network with another dropout: without it, not divided by keep_prob, or with units "
        "dropped that were not declared to be.",
        "Change one of the two: declare the dropout that the forward pass has, or change the code.",
        separate=_LOSS_VALUE,
    ),
    "declaration.penalty": Code(
        "another penalty than the declared one",
        "This is exactly the gradient of the loss with another penalty than the declared one.",
        "Change one of the two: declare the penalty whose gradient this is, or change the code.",
        separate=_LOSS_VALUE,
    ),
}
