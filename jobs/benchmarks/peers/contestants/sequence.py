"""SeQUeNCe: end-to-end pairs over a chain of four routers, event by event.

It follows every photon and message where qdist draws the number of attempts, so the two do not simulate the same model:
both draw heralded links and swap them, and give pairs a second on the clock on the wall. SeQUeNCe is given what is
fastest for it: perfect memories, detectors and fiber, so that half of all attempts at a link succeed.
"""

import json
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

PACKAGES = ("sequence",)
NODES = 4
SIMULATED_SECONDS = 0.05
PICOSECONDS = 1e12
KILOMETER = 1e3


def timed(repetitions: int) -> dict[str, Any]:
    """Seconds of each run, building not counted, and the pairs that came out of it; the first does not count."""
    wall, shots = [], []
    for seed in range(repetitions + 1):
        timeline, app = _network(seed)
        started = time.perf_counter()
        timeline.run()
        wall.append(time.perf_counter() - started)
        shots.append(app.memory_counter)
    return {"wall": wall[1:], "shots": sum(shots[1:]) / repetitions}


def _network(seed: int) -> tuple[Any, Any]:
    from sequence.app.request_app import RequestApp
    from sequence.topology.router_net_topo import RouterNetTopo

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chain.json"
        path.write_text(json.dumps(_chain(seed)), encoding="utf-8")
        network = RouterNetTopo(str(path))
    routers = {router.name: router for router in network.get_nodes_by_type(RouterNetTopo.QUANTUM_ROUTER)}
    apps = [RequestApp(router) for router in routers.values()]
    timeline = network.get_timeline()
    timeline.init()
    end = int(SIMULATED_SECONDS * PICOSECONDS)
    apps[0].start(f"r{NODES - 1}", int(0.01 * PICOSECONDS), end, 1, 0.1)
    return timeline, apps[0]


def _chain(seed: int) -> dict[str, Any]:
    names = [f"r{i}" for i in range(NODES)]
    links = list(pairwise(names))
    router = {"type": "QuantumRouter", "memo_size": 2, "template": "perfect"}
    memory = {"fidelity": 1.0, "efficiency": 1.0, "frequency": 1e6, "coherence_time": -1}
    detector = {"efficiency": 1.0, "dark_count": 0, "count_rate": 5e7, "time_resolution": 100}
    return {
        "is_parallel": False,
        "stop_time": int(SIMULATED_SECONDS * PICOSECONDS),
        "templates": {
            "perfect": {"MemoryArray": memory},
            "station": {"SingleAtomBSM": {"detectors": [detector, detector]}, "encoding_type": "single_atom"},
        },
        "nodes": [{"name": name, "seed": 100 * seed + i, **router} for i, name in enumerate(names)],
        "qconnections": [
            {
                "node1": a,
                "node2": b,
                "attenuation": 0.0,
                "distance": KILOMETER,
                "type": "meet_in_the_middle",
                "seed": 100 * seed + 50 + i,
                "template": "station",
            }
            for i, (a, b) in enumerate(links)
        ],
        "cconnections": [
            {"node1": a, "node2": b, "distance": KILOMETER} for i, a in enumerate(names) for b in names[i + 1 :]
        ],
    }
