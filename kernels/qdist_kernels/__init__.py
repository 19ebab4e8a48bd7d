"""Array kernels of qdist: real arrays in, real arrays out. They know axes and bits, not qubits, and import JAX only."""

from qdist_kernels.batches import Entries, chosen, reordered
from qdist_kernels.contraction import scale, select, transfer, update, view
from qdist_kernels.namespace import is_concrete_jax, is_jax, matmul, namespace, precision_of
from qdist_kernels.passes import run_passes
from qdist_kernels.pieces import Box, take
from qdist_kernels.placement import settle, zeros
from qdist_kernels.products import inner, outer
from qdist_kernels.program import Group, Pass, Program, Step
from qdist_kernels.stages import Stage, stages_of
from qdist_kernels.staging import in_order, passage

__all__ = [
    "Box",
    "Entries",
    "Group",
    "Pass",
    "Program",
    "Stage",
    "Step",
    "chosen",
    "in_order",
    "inner",
    "is_concrete_jax",
    "is_jax",
    "matmul",
    "namespace",
    "outer",
    "passage",
    "precision_of",
    "reordered",
    "run_passes",
    "scale",
    "select",
    "settle",
    "stages_of",
    "take",
    "transfer",
    "update",
    "view",
    "zeros",
]
