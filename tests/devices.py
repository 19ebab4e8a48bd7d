"""Vectors that live on JAX's device, however small they are."""

from qdist_kernels import native, placement


def put_on_device(monkeypatch, entries):
    """Until the test ends, vectors of more than so many entries go where JAX computes."""
    monkeypatch.setattr(native, "is_used", lambda: False)
    monkeypatch.setattr(placement, "HOST_ENTRIES", entries)
