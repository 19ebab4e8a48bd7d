"""Which array library an expression runs in: NumPy for plain numbers, JAX for traced and device values."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


def is_jax(value: Any) -> bool:
    """Whether `value` is a JAX array or tracer. Never imports JAX: without it nothing can be one."""
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(value, jax.Array)


def is_traced(value: Any) -> bool:
    """Whether `value` is a tracer: inside of `jax.grad`, `jax.jit` or `jax.vmap`."""
    if not is_jax(value):
        return False
    import jax

    return isinstance(value, jax.core.Tracer)


def is_concrete_jax(value: Any) -> bool:
    """Whether `value` is a JAX array that has numbers: it can be overwritten, and copied to the host."""
    return is_jax(value) and not is_traced(value)


def matmul(left: Any, right: Any) -> Any:
    """The matrix product in full precision: the default of some GPUs rounds float32 factors to 10 bits (TF32)."""
    xp = namespace(left, right)
    return np.matmul(left, right) if xp is np else xp.matmul(left, right, precision="highest")


@contextmanager
def precision_of(value: Any) -> Iterator[None]:
    """JAX computes in the precision of a concrete array, whatever it was told elsewhere."""
    if not is_concrete_jax(value):
        yield
        return
    import jax

    with jax.enable_x64(value.dtype.itemsize == 8):
        yield


def namespace(*values: Any) -> Any:
    """`jax.numpy` if any of `values` is a JAX array or tracer, else `numpy`.

    Small concrete matrices are built by NumPy (microseconds, no compilation); the same code traces under
    `jax.grad`, `jax.jit` and `jax.vmap` when a noise parameter is a tracer.
    """
    # Without JAX, which is the rule, nothing has to be asked: this is called some times for every gate.
    if "jax" in sys.modules and any(is_jax(v) for v in values):
        import jax.numpy

        return jax.numpy
    return np
