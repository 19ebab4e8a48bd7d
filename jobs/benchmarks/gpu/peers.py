"""The same noisy circuits as superoperators on a complex vector of 2n qubits, as Aer and QuEST hold a density matrix.

Gates and noise are fused: one 16 × 16 matrix for each two-qubit operation, one-qubit ones within. Each way to apply it
is a function; what is installed is raced, and its results are compared with ours.
"""

import ctypes
import importlib
import itertools
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jobs.benchmarks.gpu.processes import attempt, emit
from jobs.benchmarks.peers.circuits import Case, Gate, build
from jobs.benchmarks.peers.contestants.ours import Ready

PAULIS = (np.eye(2), np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.diag([1, -1]))
TOLERANCE = 1e-5
REPEATS = 3

SOURCE = r"""
extern "C" __global__ void apply(float2* state, const float2* matrix, long long groups, int a, int b, int c, int d,
                                 long long pa, long long pb, long long pc, long long pd) {
  __shared__ float2 shared[256];
  for (int k = threadIdx.x; k < 256; k += blockDim.x) shared[k] = matrix[k];
  __syncthreads();
  const long long own = blockIdx.x * (long long)blockDim.x + threadIdx.x;
  if (own >= groups) return;
  long long at = own;
  const int bits[4] = {a, b, c, d};  // ascending
  for (int k = 0; k < 4; ++k) at = (at >> bits[k] << (bits[k] + 1)) | (at & ((1LL << bits[k]) - 1));
  const long long parts[4] = {pa, pb, pc, pd};  // of the matrix's index, least significant first
  float2 in[16];
  long long place[16];
#pragma unroll
  for (int row = 0; row < 16; ++row) {
    long long sum = at;
#pragma unroll
    for (int k = 0; k < 4; ++k) sum += row >> k & 1 ? parts[k] : 0;
    place[row] = sum;
    in[row] = state[sum];
  }
#pragma unroll
  for (int row = 0; row < 16; ++row) {
    float2 sum = {0.f, 0.f};
#pragma unroll
    for (int k = 0; k < 16; ++k) {
      const float2 m = shared[16 * row + k];
      sum.x += m.x * in[k].x - m.y * in[k].y;
      sum.y += m.x * in[k].y + m.y * in[k].x;
    }
    state[place[row]] = sum;
  }
}
"""
"""A thread takes 16 numbers, multiplies them by the matrix and puts them back: once over the memory, in place."""


@dataclass(frozen=True, eq=False)
class Superoperator:
    """A complex matrix on the rows and the columns of two qubits: 16 × 16, the rows' bits first."""

    qubits: tuple[int, int]
    matrix: np.ndarray


def main(names: Sequence[str], cases: list[str], is_dry: bool) -> None:
    """Print, for each case, our time and that of each way that is installed."""
    for name in names:
        family, _, qubits = name.partition(":")
        case = build(family, int(qubits))
        ours: dict[str, Any] = {}
        attempt({"circuit": name, "way": "qdist"}, lambda case=case, ours=ours: _ours(case, ours))
        operations = fused(case)
        for way, make in WAYS.items():
            if way not in cases:
                continue
            row = {"circuit": name, "way": way, "operations": len(operations)}
            try:
                apply, xp = make(is_dry)
            except (ImportError, RuntimeError, OSError) as why:
                emit(**row, missing=str(why)[:200])
                continue
            attempt(row, lambda c=case, o=operations, a=apply, x=xp, w=ours: _theirs(c, o, a, x, w))


def _ours(case: Case, kept: dict[str, Any]) -> dict[str, Any]:
    ready = Ready(case, "float32")
    kept["probabilities"] = ready.probabilities()
    took = _median(ready.warm.execute)
    kept["seconds"] = took
    return {"seconds": took, "trace": float(kept["probabilities"].sum()), **ready.facts()}


def _theirs(case: Case, operations: list[Superoperator], apply: Any, xp: Any, ours: dict[str, Any]) -> dict[str, Any]:
    """From |0…0⟩⟨0…0| on: the matrices are on the device before the clock runs."""
    bits = 2 * case.num_qubits
    prepared = [
        (xp.asarray(one.matrix.astype(np.complex64)), places(one.qubits, case.num_qubits)) for one in operations
    ]
    kept: dict[str, Any] = {}

    def run() -> None:
        kept.clear()
        state = xp.zeros(2**bits, np.complex64)
        state[0] = 1
        for matrix, where in prepared:
            state = apply(state, matrix, where, bits)
        _wait(xp)
        kept["state"] = state

    run()
    diagonal = kept["state"].reshape(2**case.num_qubits, -1).diagonal()
    probabilities = np.real(diagonal.get() if hasattr(diagonal, "get") else diagonal).astype(float)
    took = _median(run)
    found = {"seconds": took, "ms_per_operation": 1e3 * took / len(operations), "trace": float(probabilities.sum())}
    if "seconds" in ours:
        error = float(np.abs(probabilities - ours["probabilities"]).max())
        found |= {"error": error, "is_same": error <= TOLERANCE, "times_ours": took / ours["seconds"]}
    return found


def _median(call: Callable[[], Any]) -> float:
    call()
    took = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def _wait(xp: Any) -> None:
    if xp is not np:
        xp.cuda.get_current_stream().synchronize()


def places(qubits: tuple[int, int], num_qubits: int) -> tuple[int, ...]:
    """The bits of the vector's index that a matrix acts on, its most significant first: rows are the upper half."""
    rows = [2 * num_qubits - 1 - qubit for qubit in qubits]
    return (*rows, *(row - num_qubits for row in rows))


def fused(case: Case) -> list[Superoperator]:
    """Operations on the same two qubits become one, and those on one qubit part of one before or after it."""
    found: list[Superoperator] = []
    last: dict[int, int] = {}
    waiting: dict[int, np.ndarray] = {}
    for one in case.operations:
        kraus = np.array(_kraus(one))
        if len(one.qubits) == 1:
            (qubit,) = one.qubits
            matrix = _superoperator(kraus)
            if qubit in last:
                number = last[qubit]
                before = found[number]
                wide = _wide(matrix, before.qubits.index(qubit))
                found[number] = Superoperator(before.qubits, wide @ before.matrix)
            else:
                waiting[qubit] = matrix @ waiting.get(qubit, np.eye(4))
            continue
        first, second = one.qubits
        matrix = _superoperator(kraus)
        number = last.get(first, -1)
        if number >= 0 and last.get(second) == number:
            before = found[number]
            turned = matrix if before.qubits == (first, second) else _turned(matrix)
            found[number] = Superoperator(before.qubits, turned @ before.matrix)
            continue
        for place, qubit in enumerate((first, second)):
            if qubit in waiting:
                matrix = matrix @ _wide(waiting.pop(qubit), place)
        last[first] = last[second] = len(found)
        found.append(Superoperator((first, second), matrix))
    if waiting:
        raise ValueError(f"Qubits {sorted(waiting)} must have a two-qubit gate, but have none.")
    return found


def _kraus(operation: Any) -> list[np.ndarray]:
    from qdist.physics.gates import gate

    if isinstance(operation, Gate):
        return [np.asarray(gate(operation.name, *operation.params).unitary, complex)]
    count = len(operation.qubits)
    weights = [1 - operation.probability, *[operation.probability / (4**count - 1)] * (4**count - 1)]
    products = itertools.product(PAULIS, repeat=count)
    kraus = [each[0] if count == 1 else np.kron(*each) for each in products]
    return [weight**0.5 * matrix for weight, matrix in zip(weights, kraus, strict=True)]


def _superoperator(kraus: np.ndarray) -> np.ndarray:
    """ρ → Σ K ρ K†, on the bits of the row and then those of the column."""
    side = kraus.shape[-1]
    return np.einsum("kab,kcd->acbd", kraus, kraus.conj()).reshape(side**2, side**2)


def _wide(matrix: np.ndarray, place: int) -> np.ndarray:
    """A one-qubit superoperator on the first or second of two qubits."""
    one, identity = matrix.reshape(2, 2, 2, 2), np.eye(4).reshape(2, 2, 2, 2)
    pair = (one, identity) if place == 0 else (identity, one)
    return np.einsum("acik,bdjl->abcdijkl", *pair).reshape(16, 16)


def _turned(matrix: np.ndarray) -> np.ndarray:
    """The two qubits exchanged."""
    return matrix.reshape((2,) * 8).transpose(1, 0, 3, 2, 5, 4, 7, 6).reshape(16, 16)


def _by_kernel(is_dry: bool) -> tuple[Any, Any]:
    cupy = importlib.import_module("cupy")
    kernel = cupy.RawKernel(SOURCE, "apply")

    def apply(state: Any, matrix: Any, where: tuple[int, ...], bits: int) -> Any:
        groups, threads = 2 ** (bits - 4), 128
        parts = [np.int64(1 << bit) for bit in reversed(where)]
        numbers = (np.int64(groups), *map(np.int32, sorted(where)), *parts)
        kernel((-(-groups // threads),), (threads,), (state, matrix, *numbers))
        return state

    return apply, cupy


def _by_tensordot(is_dry: bool) -> tuple[Any, Any]:
    """Transposed to the front, multiplied and back; by NumPy in a dry run."""
    xp = np if is_dry else importlib.import_module("cupy")

    def apply(state: Any, matrix: Any, where: tuple[int, ...], bits: int) -> Any:
        axes = [bits - 1 - bit for bit in where]
        shape, order = _merged(bits, axes)
        front = state.reshape(shape).transpose(order).reshape(16, -1)
        moved = (matrix @ front).reshape([shape[k] for k in order])
        return xp.ascontiguousarray(moved.transpose(np.argsort(order))).reshape(-1)

    return apply, xp


def _merged(bits: int, axes: list[int]) -> tuple[list[int], list[int]]:
    """The view of a vector in which neighbors that are not at `axes` are one, and the order with those in front."""
    shape: list[int] = []
    at: dict[int, int] = {}
    for axis in range(bits):
        if axis in axes:
            at[axis] = len(shape)
            shape.append(2)
        elif axis and axis - 1 not in axes:
            shape[-1] *= 2
        else:
            shape.append(2)
    front = [at[axis] for axis in axes]
    return shape, front + [k for k in range(len(shape)) if k not in front]


def _by_custatevec(is_dry: bool) -> tuple[Any, Any]:
    """The library alone, by its C interface: its Python package brings much that is not needed here."""
    cupy = importlib.import_module("cupy")
    cupy.ones((2, 2)) @ cupy.ones((2, 2))  # loads the linear algebra that the library links to
    library = ctypes.CDLL(_custatevec())
    handle = ctypes.c_void_p()
    _check(library.custatevecCreate(ctypes.byref(handle)))
    complex64, rows, single = ctypes.c_int(4), ctypes.c_int(1), ctypes.c_int(4)
    none, four = ctypes.c_uint32(0), ctypes.c_uint32(4)

    def apply(state: Any, matrix: Any, where: tuple[int, ...], bits: int) -> Any:
        pointer, size = ctypes.c_void_p(matrix.data.ptr), ctypes.c_size_t()
        about = ctypes.c_uint32(bits), pointer, complex64, rows, ctypes.c_int32(0)
        asked = library.custatevecApplyMatrixGetWorkspaceSize
        _check(asked(handle, complex64, *about, four, none, single, ctypes.byref(size)))
        space = cupy.cuda.alloc(size.value) if size.value else None
        targets = (ctypes.c_int32 * 4)(*reversed(where))
        vector, extra = ctypes.c_void_p(state.data.ptr), ctypes.c_void_p(space.ptr if space else None)
        controls = None, None, none
        _check(
            library.custatevecApplyMatrix(
                handle, vector, complex64, *about, targets, four, *controls, single, extra, size
            )
        )
        return state

    return apply, cupy


def _custatevec() -> str:
    """The library of the wheel `custatevec-cu13`, or the system's."""
    places = [Path(folder) / "cuquantum/lib/libcustatevec.so.1" for folder in sys.path]
    return str(next((path for path in places if path.exists()), places[0].name))


def _check(status: int) -> None:
    if status:
        raise RuntimeError(f"cuStateVec says {status}.")


WAYS: dict[str, Callable[[bool], tuple[Any, Any]]] = {
    "cupy kernel": _by_kernel,
    "cupy tensordot": _by_tensordot,
    "cuStateVec": _by_custatevec,
}
