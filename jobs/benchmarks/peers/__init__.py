"""qdist and its peers on the same circuits, side by side: `python -m jobs.benchmarks.peers`."""
