"""Exact differences of NumPy code: arrays that carry value and difference through a function, many moves at once."""
