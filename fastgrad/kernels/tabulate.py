"""The tables of the base point: what kernels know of each unit and each output; called once for each layer."""

from fastgrad.kernels import activations, losses
from fastgrad.kernels.codes import CURVATURE, KINK, SCALE, SLOPE, Z
from fastgrad.kernels.compile import worker


@worker("void(Activation, f8[:,::1], f8[:,::1], f8[:,::1], f8[:,::1], f8[:,:,::1], i8, i8, i8)")
def layer(activation, z, a, value_scale, slope_scale, units, low, begin, end):
    """Fill a layer's activations and rounding scales, shape (m, n), and its columns of the table of units, from `low` on.

    Of the samples from `begin` to `end`.
    """
    code, p = activation.code, activation.parameter
    for s in range(begin, end):
        for i in range(z.shape[1]):
            f, slope = activations.value(code, p, z[s, i]), activations.slope(code, p, z[s, i])
            a[s, i] = f
            value_scale[s, i] = activations.rounding(activation.value_rounding, z[s, i], f)
            slope_scale[s, i] = activations.rounding(activation.slope_rounding, z[s, i], slope)
            units[Z, s, low + i] = z[s, i]
            units[SLOPE, s, low + i] = slope
            units[CURVATURE, s, low + i] = activations.half_curvature(code, p, z[s, i])
            units[KINK, s, low + i] = activations.kink_distance(activation.kinks, z[s, i])
            units[SCALE, s, low + i] = 1.0


@worker("void(Loss, f8[::1])")
def loss(loss, values):
    """Fill the table of outputs from outputs, targets and factors, each sample's `top` and its loss, factor included."""
    for s in range(values.size):
        values[s], loss.top[s] = losses.tabulate_sample(loss, s)


@worker("void(Loss, f8[::1])")
def coupled_loss(loss, values):
    """Do what `loss` does for losses from `codes.COUPLED` on."""
    for s in range(values.size):
        values[s], loss.top[s] = losses.tabulate_coupled(loss, s)
