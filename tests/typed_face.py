"""What a type checker must see of the package's face; read by mypy in the lint stage, never run.

Every line that is wrong on purpose carries a comment that expects the error: where mypy no longer finds it, the comment itself
is one.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import fastgrad

W, X, Y = np.ones((1, 2)), np.ones((3, 2)), np.ones(3)


def backward(parameters: object, inputs: object, labels: object) -> list[object]:
    return [parameters, inputs, labels]


report: fastgrad.Report = fastgrad.check(
    {"W1": W}, {"dW1": W}, X, Y, output="identity", loss="mse", l2=[0.1], sample="5%", method="textbook", masks=None
)
tried: fastgrad.BackwardReport = fastgrad.check([W], backward=backward, X=X, Y=Y, output="identity", loss="mse", seed=1)
fastgrad.check([W], [W], X, Y, executor=ThreadPoolExecutor(), store=Path("parts"))
fastgrad.gradient([W], X, Y, executor=ThreadPoolExecutor(), store="parts")
fastgrad.save("model.npz", [W], X=X, Y=Y, hidden="tanh", activations=("tanh", "identity"), penalize_biases=True)
fastgrad.draw_errors(report, "errors.svg")
fastgrad.draw_errors(tried, "errors.svg")
layer: fastgrad.LayerReport = fastgrad.check_layer(abs, abs, {"x": W}, upstream=W, seed=1, frozen=["x"], returns_cache=False)
jacobian: fastgrad.JacobianReport = fastgrad.check_jacobian(abs, W, W, method="columns")
chain: fastgrad.ChainReport = fastgrad.check_chain([(abs, abs)], (abs, abs), X, Y, tolerance=1e-6)
stop: type[KeyboardInterrupt] = fastgrad.Interrupted

fastgrad.check({"W1": W}, {"dW1": W}, X, Y, outptu="identity")  # type: ignore[call-overload]
fastgrad.check({"W1": W}, {"dW1": W}, X, Y, tolerence=1.0)  # type: ignore[call-overload]
fastgrad.check([W], backward=backward, X=X, Y=Y, metod="textbook")  # type: ignore[call-overload]
fastgrad.check([W], [W], X, Y, executor=3)  # type: ignore[call-overload]
fastgrad.check([W], [W], X, Y, hidden=3)  # type: ignore[call-overload]
fastgrad.save("model.npz", [W], X=X, Y=Y, hiden="tanh")  # type: ignore[call-arg]
fastgrad.check_function(abs, 1.0, 1.0, stpe=1e-4)  # type: ignore[call-arg]
fastgrad.check_layer(abs, abs, W, upstrem=W)  # type: ignore[call-arg]
fastgrad.check_jacobian(abs, W, W, method="rows")  # type: ignore[arg-type]
print(fastgrad.nonsense)  # type: ignore[attr-defined]
