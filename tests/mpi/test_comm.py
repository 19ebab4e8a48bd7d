"""What a communicator promises, the same for one process, threads and MPI."""

import time
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from qdist.machine import comm as machine


@pytest.fixture(params=[2**30, 7, 1], ids=lambda limit: f"cut at {limit}")
def limit(request, monkeypatch):
    monkeypatch.setattr(machine, "COUNT_LIMIT", request.param)
    return request.param


def parts(entries, limit):
    return max(1, -(-entries // limit))


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128", "int64", "bool"])
def test_an_exchange_gives_each_rank_what_its_partner_has(on_ranks, limit, dtype):
    def body(comm):
        block = np.arange(20).reshape(4, 5) + 100 * comm.rank
        for bit in range(comm.size.bit_length() - 1):
            partner = comm.rank ^ 1 << bit
            received = np.empty((4, 5), dtype)
            comm.exchange(partner, block.astype(dtype), received)
            expected = (np.arange(20).reshape(4, 5) + 100 * partner).astype(dtype)
            np.testing.assert_array_equal(received, expected)
        return comm.traffic, comm.size

    for traffic, size in on_ranks(body):
        rounds = size.bit_length() - 1
        assert traffic.bytes_sent == traffic.bytes_received == rounds * 20 * np.dtype(dtype).itemsize
        assert traffic.messages == rounds * parts(20, limit)


def test_traffic_counts_what_was_moved_and_nothing_else(on_ranks, limit):
    def body(comm):
        others = comm.size - 1
        comm.gather("a control word")
        comm.broadcast({"not": "counted"})
        comm.barrier()
        comm.sum(np.zeros((3, 2)))
        comm.gather_blocks(np.zeros(10, "float32"))
        if others:
            comm.exchange(comm.rank ^ 1, np.zeros(10), np.empty(10))
            if comm.rank == 0:
                comm.send(1, np.zeros(15, "float32"))
            elif comm.rank == 1:
                comm.receive(0, np.empty(15, "float32"))
        return comm.rank, others, comm.traffic

    for rank, others, traffic in on_ranks(body):
        exchanged = 80 if others else 0
        assert traffic.bytes_sent == 40 * others + exchanged + (60 if others and rank == 0 else 0)
        assert traffic.bytes_received == 40 * others + exchanged + (60 if rank == 1 else 0)
        assert traffic.collective_bytes == (48 if others else 0)
        sends = parts(15, limit) if others and rank == 0 else 0
        assert traffic.messages == parts(10, limit) * others + (parts(10, limit) if others else 0) + sends


def test_a_call_that_waits_adds_to_the_seconds(on_ranks):
    def body(comm):
        started = time.perf_counter()
        if comm.rank == 0:
            time.sleep(0.05)
        comm.barrier()
        comm.sum(np.zeros(1000))
        return comm.rank, comm.traffic.seconds, time.perf_counter() - started

    for rank, seconds, elapsed in on_ranks(body):
        assert seconds <= elapsed
        assert rank == 0 or seconds > 0.02


class Watched:
    """MPI, and how many elements each message has."""

    def __init__(self, world):
        self.world = world
        self.counts = []

    def __getattr__(self, name):
        call = getattr(self.world, name)

        def watched(*arguments, **options):
            buffers = [value for value in (*arguments, *options.values()) if isinstance(value, list)]
            self.counts += [count for _, count, _ in buffers]
            return call(*arguments, **options)

        return watched


def test_no_message_has_more_elements_than_mpi_can_count(comm, limit):
    if comm.size == 1:
        pytest.skip("needs messages")
    watched = replace(comm, world=Watched(comm.world))
    watched.exchange(comm.rank ^ 1, np.ones(20), np.empty(20))
    watched.gather_blocks(np.ones(20))
    watched.sum(np.ones(20))
    assert max(watched.world.counts) == min(20, limit)


def test_arrays_of_jax_are_exchanged_where_they_lie(comm, limit):
    if comm.size == 1:
        pytest.skip("threads take NumPy arrays only")
    received = jnp.empty((4, 5), "float32").block_until_ready()
    comm.exchange(comm.rank ^ 1, jnp.full((4, 5), comm.rank, "float32").block_until_ready(), received)
    np.testing.assert_array_equal(received, np.full((4, 5), comm.rank ^ 1))


def test_what_is_sent_is_received(on_ranks, limit):
    def body(comm):
        # A chain: rank r+1 gets what rank r has made of what it got.
        total = np.zeros(20)
        if comm.rank > 0:
            comm.receive(comm.rank - 1, total)
        total += comm.rank
        if comm.rank < comm.size - 1:
            comm.send(comm.rank + 1, total)
        np.testing.assert_array_equal(total, comm.rank * (comm.rank + 1) / 2)

    on_ranks(body)


def test_an_array_that_may_not_be_written_can_be_sent(on_ranks):
    def body(comm):
        if comm.size > 1:
            block = np.full(5, comm.rank)
            block.flags.writeable = False
            received = np.empty_like(block)
            comm.exchange(comm.rank ^ 1, block, received)
            assert (received == comm.rank ^ 1).all()

    on_ranks(body)


def test_a_sum_has_the_same_bits_on_all_ranks_and_every_time(on_ranks, limit):
    def body(comm):
        # Numbers of many sizes: any other order of additions gives other bits.
        numbers = np.random.default_rng(comm.rank)
        mine = numbers.normal(size=(30, 3)) * 10.0 ** numbers.integers(-12, 12, size=(30, 3))
        kept = mine.copy()
        totals = [comm.sum(mine) for _ in range(3)]
        np.testing.assert_array_equal(mine, kept)
        everywhere = comm.gather([total.tobytes() for total in totals])
        assert len({bits for rank in everywhere for bits in rank}) == 1
        np.testing.assert_allclose(totals[0], sum(comm.gather(mine)), rtol=1e-12)
        return totals[0].shape

    assert set(on_ranks(body)) == {(30, 3)}


def test_a_sum_of_one_number_is_an_array_without_axes(on_ranks):
    def body(comm):
        total = comm.sum(np.array(1.5))
        assert total.shape == ()
        assert total == 1.5 * comm.size

    on_ranks(body)


def test_values_of_any_type_are_gathered_in_the_order_of_the_ranks(on_ranks):
    def body(comm):
        assert comm.gather((comm.rank, "rank")) == [(rank, "rank") for rank in range(comm.size)]
        root = comm.size - 1
        assert comm.broadcast({"from": comm.rank}, root=root) == {"from": root}

    on_ranks(body)


def test_blocks_are_gathered_whole_on_every_rank(on_ranks, limit):
    def body(comm):
        blocks = comm.gather_blocks(np.arange(12.0).reshape(3, 4) + comm.rank)
        expected = np.stack([np.arange(12.0).reshape(3, 4) + rank for rank in range(comm.size)])
        np.testing.assert_array_equal(blocks, expected)

    on_ranks(body)


def test_parts_of_the_ranks_work_apart_and_count_together(on_ranks):
    def body(comm):
        part = comm.split(comm.rank % 2)
        members = list(range(comm.rank % 2, comm.size, 2)) if comm.size > 1 else [0]
        assert (part.rank, part.size) == (members.index(comm.rank), len(members))
        assert part.gather(comm.rank) == members
        assert part.sum(np.array(comm.rank)) == sum(members)
        assert (part.local_rank, part.local_size) == (comm.local_rank, comm.local_size)
        assert part.traffic is comm.traffic

    on_ranks(body)


def test_ranks_of_one_host_are_numbered(on_ranks):
    def body(comm):
        assert 0 <= comm.local_rank < comm.local_size <= comm.size
        assert len({(place, comm.size) for place in comm.gather(comm.local_rank)}) == comm.local_size

    on_ranks(body)


def test_ranks_meet_as_often_as_they_want(on_ranks):
    def body(comm):
        assert comm.meet(comm.rank) == list(range(comm.size))
        assert comm.meet("again", 30.0) == ["again"] * comm.size

    on_ranks(body)


def test_ranks_that_missed_a_call_still_meet(comm):
    # The root of a broadcast of little is done before the others come.
    if comm.rank == 0:
        comm.broadcast("missed")
    assert comm.meet(comm.rank, 30.0) == list(range(comm.size))
    if comm.rank > 0:
        assert comm.broadcast(None) == "missed"


def test_a_rank_has_no_exchange_with_itself_or_with_nobody(on_ranks):
    def body(comm):
        for partner in (comm.rank, -1, comm.size):
            with pytest.raises(ValueError, match="another rank"):
                comm.exchange(partner, np.zeros(1), np.zeros(1))
            with pytest.raises(ValueError, match="another rank"):
                comm.send(partner, np.zeros(1))
            with pytest.raises(ValueError, match="another rank"):
                comm.receive(partner, np.zeros(1))

    on_ranks(body)


def test_arrays_that_do_not_match_are_not_exchanged(on_ranks):
    def body(comm):
        if comm.size > 1:
            for other in (np.zeros(3), np.zeros(2, "float32")):
                with pytest.raises(ValueError, match="must be alike"):
                    comm.exchange(comm.rank ^ 1, np.zeros(2), other)

    on_ranks(body)
