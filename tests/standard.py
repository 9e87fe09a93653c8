"""Functions that derivatives are tried on: the Moré-Garbow-Hillstrom problems, chained Rosenbrock, noise and kinks.

Formulas and starting points are the published ones. Every function takes floats, complex numbers, dual numbers and numbers
of 50 digits; its gradient comes from the latter two, and from neither the library nor a difference of floats.

References
----------
J. J. Moré, B. S. Garbow and K. E. Hillstrom, Testing unconstrained optimization software, ACM Trans. Math. Softw. 7 (1981)
17-41.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from mpmath import mp, mpf, mpmathify


class Dual:
    """A float with its gradient: the analytic gradient of a program of +, -, ·, /, powers and the functions below."""

    def __init__(self, value, slope):
        self.value, self.slope = value, slope

    def __add__(self, other):
        other = as_dual(other, self)
        return Dual(self.value + other.value, self.slope + other.slope)

    def __mul__(self, other):
        other = as_dual(other, self)
        return Dual(self.value * other.value, self.slope * other.value + other.slope * self.value)

    def __truediv__(self, other):
        other = as_dual(other, self)
        value = self.value / other.value
        return Dual(value, (self.slope - value * other.slope) / other.value)

    def __rtruediv__(self, other):
        return as_dual(other, self) / self

    def __pow__(self, power):
        if isinstance(power, Dual):
            return call("exp", power * call("log", self))
        return Dual(self.value**power, power * self.value ** (power - 1) * self.slope)

    def __neg__(self):
        return Dual(-self.value, -self.slope)

    def __sub__(self, other):
        return self + -as_dual(other, self)

    def __rsub__(self, other):
        return -self + other

    __radd__, __rmul__ = __add__, __mul__


def as_dual(number, like):
    return number if isinstance(number, Dual) else Dual(number, np.zeros_like(like.slope))


SLOPES = {
    "exp": np.exp,
    "log": lambda x: 1.0 / x,
    "sin": np.cos,
    "cos": lambda x: -np.sin(x),
    "atan": lambda x: 1.0 / (1.0 + x * x),
    "sqrt": lambda x: 0.5 / np.sqrt(x),
}


def call(name, x):
    """Call a function of one number, whatever kind of number it is."""
    if isinstance(x, Dual):
        return Dual(call(name, x.value), SLOPES[name](x.value) * x.slope)
    if isinstance(x, (mpf, mp.mpc)):
        return getattr(mp, name)(x)
    return getattr(np, {"atan": "arctan"}.get(name, name))(x)


def exp(x):
    return call("exp", x)


def rosenbrock(x):
    return [10 * (x[1] - x[0] ** 2), 1 - x[0]]


def freudenstein_roth(x):
    a, b = x
    return [-13 + a + ((5 - b) * b - 2) * b, -29 + a + ((b + 1) * b - 14) * b]


def powell_badly_scaled(x):
    return [10**4 * x[0] * x[1] - 1, exp(-x[0]) + exp(-x[1]) - 1.0001]


def brown_badly_scaled(x):
    return [x[0] - 10**6, x[1] - 2e-6, x[0] * x[1] - 2]


def beale(x):
    return [y - x[0] * (1 - x[1] ** i) for i, y in ((1, 1.5), (2, 2.25), (3, 2.625))]


def jennrich_sampson(x):
    return [2 + 2 * i - (exp(i * x[0]) + exp(i * x[1])) for i in range(1, 11)]


def helical_valley(x):
    turn = call("atan", x[1] / x[0]) / (2 * math.pi) + 0.5  # the branch for x₁ < 0, where the start lies
    return [10 * (x[2] - 10 * turn), 10 * (call("sqrt", x[0] ** 2 + x[1] ** 2) - 1), x[2]]


def bard(x):
    y = (0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39)
    return [y[i - 1] - (x[0] + i / ((16 - i) * x[1] + min(i, 16 - i) * x[2])) for i in range(1, 16)]


def gaussian(x):
    half = (0.0009, 0.0044, 0.0175, 0.0540, 0.1295, 0.2420, 0.3521, 0.3989)
    y = half + half[-2::-1]
    return [x[0] * exp(-x[1] * ((8 - i) / 2 - x[2]) ** 2 / 2) - y[i - 1] for i in range(1, 16)]


def meyer(x):
    y = (34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030, 6005, 5147, 4427, 3820, 3307, 2872)
    return [x[0] * exp(x[1] / (45 + 5 * i + x[2])) - y[i - 1] for i in range(1, 17)]


def gulf(x):
    times = [i / 100 for i in range(1, 100)]
    y = [25 + (-50 * math.log(t)) ** (2 / 3) for t in times]
    return [exp(-exp(x[2] * call("log", distance(y_i, x[1]))) / x[0]) - t for t, y_i in zip(times, y, strict=True)]


def distance(a, b):
    """Return |a - b| for b of any kind, as analytic as it is where both differ."""
    b_value = b.value if isinstance(b, Dual) else b.real
    return a - b if a > b_value else b - a


def box(x):
    times = [i / 10 for i in range(1, 11)]
    return [exp(-t * x[0]) - exp(-t * x[1]) - x[2] * (math.exp(-t) - math.exp(-10 * t)) for t in times]


def powell_singular(x):
    a, b, c, d = x
    return [a + 10 * b, math.sqrt(5) * (c - d), (b - 2 * c) ** 2, math.sqrt(10) * (a - d) ** 2]


def wood(x):
    a, b, c, d = x
    tens, nineties = math.sqrt(10), math.sqrt(90)
    return [10 * (b - a**2), 1 - a, nineties * (d - c**2), 1 - c, tens * (b + d - 2), (b - d) / tens]


def kowalik_osborne(x):
    y = (0.1957, 0.1947, 0.1735, 0.1600, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246)
    u = (4, 2, 1, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625)
    return [y[i] - x[0] * (u[i] ** 2 + u[i] * x[1]) / (u[i] ** 2 + u[i] * x[2] + x[3]) for i in range(11)]


def brown_dennis(x):
    times = [i / 5 for i in range(1, 21)]
    return [(x[0] + t * x[1] - math.exp(t)) ** 2 + (x[2] + x[3] * math.sin(t) - math.cos(t)) ** 2 for t in times]


def biggs_exp6(x):
    times = [i / 10 for i in range(1, 14)]
    y = [math.exp(-t) - 5 * math.exp(-10 * t) + 3 * math.exp(-4 * t) for t in times]
    terms = [x[2] * exp(-t * x[0]) - x[3] * exp(-t * x[1]) + x[5] * exp(-t * x[4]) for t in times]
    return [term - y_i for term, y_i in zip(terms, y, strict=True)]


def watson(x):
    residuals = []
    for i in range(1, 30):
        t = i / 29
        slope = sum(j * x[j] * t ** (j - 1) for j in range(1, len(x)))
        residuals.append(slope - sum(x[j] * t**j for j in range(len(x))) ** 2 - 1)
    return [*residuals, x[0], x[1] - x[0] ** 2 - 1]


def penalty(x):
    return [*(math.sqrt(1e-5) * (x_i - 1) for x_i in x), sum(x_i**2 for x_i in x) - 0.25]


def variably_dimensioned(x):
    total = sum((j + 1) * (x_j - 1) for j, x_j in enumerate(x))
    return [*(x_i - 1 for x_i in x), total, total**2]


def trigonometric(x):
    cosines = [call("cos", x_i) for x_i in x]
    total = len(x) - sum(cosines)
    return [total + (i + 1) * (1 - cosines[i]) - call("sin", x[i]) for i in range(len(x))]


def broyden_tridiagonal(x):
    padded = [0.0, *x, 0.0]
    return [(3 - 2 * padded[i]) * padded[i] - padded[i - 1] - 2 * padded[i + 1] + 1 for i in range(1, len(x) + 1)]


@dataclass(frozen=True)
class Problem:
    """A function as a sum of squares of residuals, and the published start."""

    name: str
    residuals: object
    start: tuple

    def __call__(self, x):
        return sum(r**2 for r in self.residuals(x))

    @property
    def x(self):
        return np.array(self.start, dtype=float)

    def real(self, x):
        """Return the function's value for floats alone."""
        return float(self(x.tolist()))

    def analytic(self, x):
        """Return the gradient in floats, as a formula would give it."""
        rows = np.eye(x.size)
        return self([Dual(value, row) for value, row in zip(x.tolist(), rows, strict=True)]).slope

    def exact(self):
        """Return the gradient at the start, right to the last digit of a float."""
        return _exact(self)


@cache
def _exact(problem):
    with mp.workdps(80):
        x, step = [mpmathify(value) for value in problem.x.tolist()], mpf(10) ** -25
        slopes = []
        for i in range(len(x)):
            upper, lower = (problem([*x[:i], x[i] + sign * step, *x[i + 1 :]]) for sign in (1, -1))
            slopes.append(float((upper - lower) / (2 * step)))  # truncation 1e-50, rounding 1e-55
        return np.array(slopes)


PROBLEMS = (
    Problem("Rosenbrock", rosenbrock, (-1.2, 1)),
    Problem("Freudenstein-Roth", freudenstein_roth, (0.5, -2)),
    Problem("Powell badly scaled", powell_badly_scaled, (0, 1)),
    Problem("Brown badly scaled", brown_badly_scaled, (1, 1)),
    Problem("Beale", beale, (1, 1)),
    Problem("Jennrich-Sampson", jennrich_sampson, (0.3, 0.4)),
    Problem("helical valley", helical_valley, (-1, 0, 0)),
    Problem("Bard", bard, (1, 1, 1)),
    Problem("Gaussian", gaussian, (0.4, 1, 0)),
    Problem("Meyer", meyer, (0.02, 4000, 250)),
    Problem("Gulf", gulf, (5, 2.5, 0.15)),
    Problem("Box", box, (0, 10, 20)),
    Problem("Powell singular", powell_singular, (3, -1, 0, 1)),
    Problem("Wood", wood, (-3, -1, -3, -1)),
    Problem("Kowalik-Osborne", kowalik_osborne, (0.25, 0.39, 0.415, 0.39)),
    Problem("Brown-Dennis", brown_dennis, (25, 5, -5, -1)),
    Problem("Biggs EXP6", biggs_exp6, (1, 2, 1, 1, 1, 1)),
    Problem("Watson", watson, (0.0,) * 6),
    Problem("penalty I", penalty, tuple(range(1, 11))),
    Problem("variably dimensioned", variably_dimensioned, tuple(1 - i / 10 for i in range(1, 11))),
    Problem("trigonometric", trigonometric, (0.1,) * 10),
    Problem("Broyden tridiagonal", broyden_tridiagonal, (-1,) * 10),
)


def chained_rosenbrock(x):
    """Return Rosenbrock's function in any number of variables, for floats, complex numbers and many points in rows."""
    return (100.0 * (x[..., 1:] - x[..., :-1] ** 2) ** 2 + (1.0 - x[..., :-1]) ** 2).sum(axis=-1)


def chained_rosenbrock_gradient(x):
    gradient, inner = np.zeros_like(x), x[1:] - x[:-1] ** 2
    gradient[:-1] = -400.0 * x[:-1] * inner - 2.0 * (1.0 - x[:-1])
    gradient[1:] += 200.0 * inner
    return gradient


def trembling(x, level):
    """Return noise that is the same for the same point and looks like none: a hash of its digits, uniform in ±level."""
    digits = np.asarray(x, dtype=float).tobytes()
    bits = 0xCBF29CE484222325
    for byte in digits:
        bits = ((bits ^ byte) * 0x100000001B3) % 2**64
    return level * (2.0 * (bits ^ (bits >> 29)) / 2.0**64 - 1.0)
