"""Tokens and places to vectors: rows of a table times √d, plus a row for each place; loops over tokens backwards."""

import numpy as np

MUTATED = ("backward",)


def forward(ids, table, places):
    N, T = ids.shape
    d = table.shape[1]
    out = table[ids] * np.sqrt(d) + places[:T]
    return out, (ids, table, places)


def backward(dout, cache):
    ids, table, places = cache
    N, T = ids.shape
    d = table.shape[1]
    dtable = np.zeros_like(table)
    dplaces = np.zeros_like(places)
    for n in range(N):
        for t in range(T):
            dtable[ids[n, t]] += dout[n, t] * np.sqrt(d)
    dplaces[:T] = np.sum(dout, axis=0)
    return {"ids": None, "table": dtable, "places": dplaces}


def inputs(rng, dtype=np.float64, size="small"):
    n, t, v, d = {"small": (3, 4, 6, 3), "other": (5, 4, 6, 3), "large": (8, 10, 50, 20)}[size]
    return {
        "ids": rng.integers(0, v, size=(n, t)),
        "table": rng.normal(size=(v, d)).astype(dtype),
        "places": rng.normal(size=(t + 2, d)).astype(dtype),
    }
