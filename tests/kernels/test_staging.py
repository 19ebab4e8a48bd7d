"""Boxes that leave a vector and come back to it: what is copied, when it is asked for, and through which memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qdist_kernels import is_jax, staging
from qdist_kernels.staging import OnDevice, ThroughHost, has_pinned_memory, in_order, memory_of, passage

SHAPE, SIZES = (8, 2, 16), (2, 1, 16)
BOXES = [((start, 1, 0), SIZES) for start in range(0, 8, 2)]


@pytest.fixture(params=["host", "pinned", "pageable", "direct"])
def way(request, monkeypatch):
    """A vector, and how its boxes travel."""
    if request.param == "direct" and jax.default_backend() != "cpu":
        pytest.skip("the host cannot write to a device")
    monkeypatch.setattr(staging, "is_on_device", is_jax)
    monkeypatch.setattr(staging, "has_pinned_memory", lambda device: request.param == "pinned")
    vector = np.arange(256, dtype=np.float32)
    vector = vector if request.param == "host" else jnp.array(vector)
    return passage(vector, SHAPE, is_direct=request.param == "direct")


def sent_and_received(way):
    """As two partners would do it; the copies that were sent."""
    seen = []
    for number, (box, send) in enumerate(in_order(way, BOXES)):
        seen.append(np.array(send))
        receive = way.room(32)
        filled = memory_of(receive) if isinstance(way, OnDevice) else receive
        filled[...] = -number
        assert np.array_equal(send, seen[-1]), "it has not been sent yet"
        way.put(box, receive)
    return seen


def test_boxes_are_copied_and_replaced(way):
    wanted = np.arange(256, dtype=np.float32).reshape(SHAPE)
    seen = sent_and_received(way)
    assert np.array_equal(seen, wanted[:, 1].reshape(4, 32))
    wanted[:, 1] = -np.arange(4).repeat(2)[:, None]
    assert np.array_equal(way.vector, wanted.reshape(-1))


def test_what_only_comes_needs_few_buffers(way):
    places = set()
    for number, box in enumerate(BOXES):
        receive = way.room(32)
        filled = memory_of(receive) if isinstance(way, OnDevice) else receive
        places.add(filled.ctypes.data)
        filled[...] = number
        way.put(box, receive)
    assert np.array_equal(np.reshape(way.vector, SHAPE)[:, 1, 0], np.arange(4).repeat(2))
    if isinstance(way, ThroughHost) and way._is_pinned:
        assert len(places) <= staging.SPARES


def test_a_device_is_asked_for_the_next_box_before_this_one_is_waited_for(monkeypatch):
    monkeypatch.setattr(staging, "is_on_device", is_jax)
    events = []

    class Watched(ThroughHost):
        def fetch(self, box):
            events.append(("fetch", BOXES.index(box)))
            return super().fetch(box)

        def arrived(self, fetched):
            events.append("arrived")
            return super().arrived(fetched)

        def put(self, box, came):
            events.append(("put", BOXES.index(box)))
            super().put(box, came)

    sent_and_received(Watched(jnp.zeros(256, jnp.float32), SHAPE))
    steps = [("fetch", 1), "arrived", ("put", 0), ("fetch", 2), "arrived", ("put", 1), ("fetch", 3), "arrived"]
    assert events == [("fetch", 0), *steps, ("put", 2), "arrived", ("put", 3)]


def test_this_backend_has_pinned_memory_that_numpy_sees():
    device = jax.devices()[0]
    assert has_pinned_memory(device)
    pinned = jax.device_put(jnp.arange(8.0), jax.sharding.SingleDeviceSharding(device, memory_kind=staging.PINNED))
    assert np.asarray(pinned).ctypes.data == memory_of(pinned).ctypes.data == pinned.unsafe_buffer_pointer()


def test_a_backend_without_it_is_found_out(monkeypatch):
    monkeypatch.setattr(staging, "PINNED", "no such kind")
    has_pinned_memory.cache_clear()
    assert not has_pinned_memory(jax.devices()[0])
    has_pinned_memory.cache_clear()
