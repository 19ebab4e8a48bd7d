"""Array kernels of qdist: real arrays in, real arrays out. They know axes and bits, not qubits, and import JAX only."""

from qdist_kernels.batches import Entries, chosen, reordered
from qdist_kernels.namespace import is_concrete_jax, is_jax, matmul, namespace, precision_of
from qdist_kernels.passes import run_passes
from qdist_kernels.pieces import read_piece, take, write_piece
from qdist_kernels.program import Group, Pass, Program, Step
from qdist_kernels.stages import Stage, stages_of
from qdist_kernels.transfer import inner, outer, scale, select, settle, transfer, update, view

__all__ = [
    "Entries",
    "Group",
    "Pass",
    "Program",
    "Stage",
    "Step",
    "chosen",
    "inner",
    "is_concrete_jax",
    "is_jax",
    "matmul",
    "namespace",
    "outer",
    "precision_of",
    "read_piece",
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
    "write_piece",
]
