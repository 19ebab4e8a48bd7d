"""Eigenvalues and square roots of density matrices, safe at zero eigenvalues and where eigenvalues coincide."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from qdist_kernels.namespace import matmul, namespace


def safe_sqrt(values: Any) -> Any:
    """√x for x > 0 and 0 otherwise, with derivative 0 (not infinite) at 0."""
    xp = namespace(values)
    positive = values > 0
    return xp.where(positive, xp.sqrt(xp.where(positive, values, 1)), 0)


def entropy_of(weights: Any) -> Any:
    """Σ p log₂(1/p) in bits; p ≤ 0 adds nothing."""
    xp = namespace(weights)
    safe = xp.where(weights > xp.finfo(weights.dtype).tiny, weights, 1)
    return xp.sum(safe * xp.log2(1 / safe))


def square_root(matrix: Any) -> Any:
    """√A of a positive Hermitian matrix; eigenvalues below the rounding error count as 0.

    Its derivative dS solves S dS + dS S = dA, which exists where eigenvalues coincide, unlike that of eigenvectors.
    """
    xp = namespace(matrix)
    return _root(matrix)[0] if xp is np else _differentiable_root()(matrix)


def _root(matrix: Any) -> tuple[Any, Any, Any]:
    """√A, and the eigenvectors and eigenvalues of √A."""
    xp = namespace(matrix)
    values, vectors = xp.linalg.eigh(matrix)
    floor = matrix.shape[0] * xp.finfo(values.dtype).eps * xp.max(xp.abs(values))
    roots = safe_sqrt(xp.where(values > floor, values, 0))
    return matmul(vectors * roots.astype(vectors.dtype), vectors.conj().T), vectors, roots


@cache
def _differentiable_root() -> Callable[[Any], Any]:
    import jax

    @jax.custom_jvp
    def root(matrix: Any) -> Any:
        return _root(matrix)[0]

    @root.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        value, vectors, roots = _root(primals[0])
        sums = roots[:, None] + roots[None, :]
        weights = jax.numpy.where(sums > 0, 1 / jax.numpy.where(sums > 0, sums, 1), 0)
        inside = matmul(matmul(vectors.conj().T, tangents[0]), vectors) * weights.astype(vectors.dtype)
        return value, matmul(matmul(vectors, inside), vectors.conj().T)

    return root


def overlap_roots(left: Any, right: Any) -> Any:
    """√ of the eigenvalues of A·B for positive matrices, ascending: those of the Hermitian √A B √A."""
    xp = namespace(left, right)
    root = square_root(left)
    if xp is np:
        # Singular values keep a small root to 1e-16, where the root of a small eigenvalue keeps 1e-8.
        return np.linalg.svd(root @ square_root(right), compute_uv=False)[::-1]
    return safe_sqrt(xp.linalg.eigvalsh(matmul(matmul(root, right), root)))
