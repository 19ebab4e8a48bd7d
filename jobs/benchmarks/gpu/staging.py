"""How fast boxes of a vector leave the device and come back, as they do between ranks: without the wire."""

import math
import time
from typing import Any

import numpy as np

from jobs.benchmarks.gpu.processes import attempt, emit


def main(num_bytes: int) -> None:
    """Print a row for pinned and one for pageable memory."""
    import jax

    from qdist_kernels.staging import has_pinned_memory

    emit(what="has pinned memory", is_pinned=has_pinned_memory(jax.devices()[0]), ran_on=str(jax.devices()[0]))
    for memory in ("pinned", "pageable"):
        attempt(
            {"what": "boxes out and in", "memory": memory, "bytes": num_bytes},
            lambda m=memory: out_and_in(m, num_bytes),
        )


def out_and_in(memory: str, num_bytes: int) -> dict[str, Any]:
    """Half of the vector, in slices as large as a rank takes; what came back must be what was written."""
    import jax.numpy as jnp

    from qdist.machine.exchange import SLICE_BYTES
    from qdist_kernels import staging

    entries = num_bytes // 4
    count = max(4, num_bytes // 2 // SLICE_BYTES)
    shape = count, 2, entries // 2 // count
    boxes = [((k, 1, 0), (1, 1, shape[2])) for k in range(count)]
    vector = jnp.arange(entries, dtype=jnp.float32)
    has_pinned_memory, staging.has_pinned_memory = staging.has_pinned_memory, lambda device: memory == "pinned"
    is_on_device, staging.is_on_device = staging.is_on_device, lambda vector: True
    took = []
    try:
        for _ in range(3):
            began = time.perf_counter()
            through = staging.passage(vector, shape)
            for box, send in staging.in_order(through, boxes):
                receive = through.room(math.prod(box[1]))
                receive[...] = send  # as fast as a wire of this host
                through.put(box, receive)
            vector = through.vector.block_until_ready()
            took.append(time.perf_counter() - began)
    finally:
        staging.has_pinned_memory, staging.is_on_device = has_pinned_memory, is_on_device
    is_right = bool(np.array_equal(vector, np.arange(entries, dtype=np.float32)))
    return {"bytes_per_second": num_bytes / 2 / min(took), "is_right": is_right}
