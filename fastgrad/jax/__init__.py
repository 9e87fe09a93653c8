"""fastgrad for JAX: gradients of functions of arrays, of rules by custom_vjp and custom_jvp among them."""

from __future__ import annotations

try:
    import jax  # noqa: F401
except ImportError as error:
    raise ImportError("fastgrad.jax needs JAX: pip install 'fastgrad[jax]'") from error

from fastgrad.jax.grads import check_grads

__all__ = ["check_grads"]
