"""One rank alone, ranks that are threads, and what a communicator refuses. What all promise: `tests/mpi`."""

import sys
import time

import numpy as np
import pytest

from qdist.errors import QdistError
from qdist.machine.comm import SERIAL, Serial, check_power_of_two, connect
from tests.threads import run_ranks


def test_without_a_launcher_there_is_one_rank_and_no_mpi(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    for environ in ({}, {"PMI_SIZE": "1", "PMI_RANK": "0"}, {"SLURM_NTASKS": "8", "SLURM_PROCID": "0"}):
        comm = connect(environ)
        assert (comm.rank, comm.size, comm.local_rank, comm.local_size) == (0, 1, 0, 1)


@pytest.mark.parametrize(("size", "less", "more"), [(3, 2, 4), (6, 4, 8), (12, 8, 16), (1000, 512, 1024)])
def test_ranks_that_are_no_power_of_two_are_refused_with_what_to_type(size, less, more):
    sentence = f"must be a power of two, but is {size}. Run with `-n {less}` or `-n {more}`"
    with pytest.raises(QdistError, match=sentence):
        connect({"PMI_SIZE": str(size), "PMI_RANK": "0"})


def test_powers_of_two_are_taken():
    for bits in range(12):
        check_power_of_two(2**bits)


def test_one_rank_moves_nothing():
    comm = Serial()
    block = np.arange(6.0).reshape(2, 3)
    assert comm.sum(block) is block
    assert comm.gather_blocks(block).shape == (1, 2, 3)
    assert comm.gather("x") == comm.meet("x") == ["x"]
    assert comm.broadcast("x") == "x"
    assert comm.split(5) is comm
    assert comm.traffic == Serial().traffic
    with pytest.raises(SystemExit, match="3"):
        comm.abort(3)


def test_every_serial_communicator_counts_for_itself():
    Serial().traffic.remaps += 1
    assert SERIAL.traffic.remaps == Serial().traffic.remaps == 0


def test_an_exception_of_one_thread_is_raised_and_the_others_do_not_hang():
    def body(comm):
        if comm.rank == 2:
            raise ZeroDivisionError("lost")
        if comm.rank == 0:
            comm.receive(2, np.empty(1))
        elif comm.rank == 1:
            comm.barrier()
        else:
            comm.split(0).gather(0)

    started = time.monotonic()
    with pytest.raises(ZeroDivisionError, match="lost"):
        run_ranks(4, body)
    assert time.monotonic() - started < 5
