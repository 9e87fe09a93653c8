"""One head of attention that looks back only: three projections, scores over √d, softmax, mixed values."""

import numpy as np

MUTATED = ("backward",)


def softmax(s):
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def forward(X, Wq, Wk, Wv):
    Q, K, V = X @ Wq, X @ Wk, X @ Wv
    d = Q.shape[-1]
    S = Q @ K.transpose(0, 2, 1) / np.sqrt(d)
    ahead = np.triu(np.ones(S.shape[1:], dtype=bool), k=1)
    S = np.where(ahead, -1e9, S)
    A = softmax(S)
    return A @ V, dict(X=X, Q=Q, K=K, V=V, A=A, Wq=Wq, Wk=Wk, Wv=Wv)


def backward(dO, c):
    X, A = c["X"], c["A"]
    d = c["Q"].shape[-1]
    dA = dO @ c["V"].transpose(0, 2, 1)
    dV = A.transpose(0, 2, 1) @ dO
    dS = A * (dA - np.sum(dA * A, axis=-1, keepdims=True))
    dS = dS / np.sqrt(d)
    dQ = dS @ c["K"]
    dK = dS.transpose(0, 2, 1) @ c["Q"]
    dWq = np.einsum("bti,btj->ij", X, dQ)
    dWk = np.einsum("bti,btj->ij", X, dK)
    dWv = np.einsum("bti,btj->ij", X, dV)
    dX = dQ @ c["Wq"].T + dK @ c["Wk"].T + dV @ c["Wv"].T
    return dict(X=dX, Wq=dWq, Wk=dWk, Wv=dWv)


def inputs(rng, dtype=np.float64, size="small"):
    b, t, n, d = {"small": (2, 4, 5, 3), "other": (3, 4, 5, 3), "large": (4, 8, 16, 14)}[size]
    scale = 1.5 / np.sqrt(n)
    return {
        "X": rng.normal(size=(b, t, n)).astype(dtype),
        "Wq": (scale * rng.normal(size=(n, d))).astype(dtype),
        "Wk": (scale * rng.normal(size=(n, d))).astype(dtype),
        "Wv": (scale * rng.normal(size=(n, d))).astype(dtype),
    }
