"""One step of a GRU, examples in columns, a matrix for each gate, parameters by name."""

import numpy as np

MUTATED = ("backward",)


def sigma(z):
    return 1 / (1 + np.exp(-z))


def forward(x, h, Wz, Uz, bz, Wr, Ur, br, Wn, Un, bn):
    z = sigma(Wz @ x + Uz @ h + bz)
    r = sigma(Wr @ x + Ur @ h + br)
    n = np.tanh(Wn @ x + Un @ (r * h) + bn)
    out = (1 - z) * n + z * h
    cache = {"x": x, "h": h, "z": z, "r": r, "n": n}
    cache["weights"] = (Wz, Uz, Wr, Ur, Wn, Un)
    return out, cache


def backward(dout, cache):
    x, h, z, r, n = cache["x"], cache["h"], cache["z"], cache["r"], cache["n"]
    Wz, Uz, Wr, Ur, Wn, Un = cache["weights"]
    grads = {}
    dn = dout * (1 - z)
    dz = dout * (h - n)
    dh = dout * z
    da_n = dn * (1 - n * n)
    grads["Wn"] = da_n @ x.T
    grads["Un"] = da_n @ (r * h).T
    grads["bn"] = np.sum(da_n, axis=1, keepdims=True)
    drh = Un.T @ da_n
    dh = dh + drh * r
    da_r = drh * h * r * (1 - r)
    da_z = dz * z * (1 - z)
    grads["Wz"] = da_z @ x.T
    grads["Uz"] = da_z @ h.T
    grads["bz"] = np.sum(da_z, axis=1, keepdims=True)
    grads["Wr"] = da_r @ x.T
    grads["Ur"] = da_r @ h.T
    grads["br"] = np.sum(da_r, axis=1, keepdims=True)
    grads["x"] = Wn.T @ da_n + Wr.T @ da_r + Wz.T @ da_z
    grads["h"] = dh + Ur.T @ da_r + Uz.T @ da_z
    return grads


def inputs(rng, dtype=np.float64, size="small"):
    m, d, k = {"small": (5, 2, 3), "other": (7, 2, 3), "large": (12, 14, 12)}[size]
    found = {"x": rng.normal(size=(d, m)), "h": rng.normal(size=(k, m))}
    for gate in "zrn":
        found[f"W{gate}"] = rng.normal(size=(k, d)) / np.sqrt(d)
        found[f"U{gate}"] = rng.normal(size=(k, k)) / np.sqrt(k)
        found[f"b{gate}"] = 0.5 * rng.normal(size=(k, 1))
    return {name: value.astype(dtype) for name, value in found.items()}
