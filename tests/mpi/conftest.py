"""One body, all deployments: `mpiexec -n N python -m pytest tests/mpi`, or plain `pytest` with threads for ranks.

Under a launcher every rank runs every test. A test that fails on one rank fails on all of them, rank 0 reports, and
ranks that wait for one that is gone are ended.
"""

import os
import sys
from dataclasses import replace

import hypothesis
import pytest

from qdist.machine.comm import Traffic, connect
from qdist.machine.ranks import device_settings, gpu_count
from tests.threads import run_ranks

COMM = connect(os.environ)
PATIENCE = 10.0
"""Seconds that a rank which failed waits for the others to come out of the test."""
SECONDS = 120
"""For one test under a launcher."""
THREADS = (2, 4)

hypothesis.settings.register_profile("ranks", derandomize=True, deadline=None, database=None)


@pytest.fixture(scope="session")
def comm():
    """All ranks of this session. Its traffic is that of all tests."""
    return COMM


def pytest_generate_tests(metafunc):
    """Tests that ask for `on_ranks` run on the ranks of the session; without a launcher also on threads."""
    if "on_ranks" in metafunc.fixturenames:
        threads = THREADS if COMM.size == 1 else ()
        ids = [f"{COMM.size} ranks", *(f"{size} threads" for size in threads)]
        metafunc.parametrize("on_ranks", [0, *threads], ids=ids, indirect=True)


@pytest.fixture
def on_ranks(request):
    """`on_ranks(function)` calls `function(comm)` on each rank; the values of the ranks that are in this process."""
    if request.param:
        return lambda function: run_ranks(request.param, function)
    return lambda function: [function(replace(COMM, traffic=Traffic()))]


@pytest.fixture
def shared_path(comm, tmp_path):
    """One folder for all ranks."""
    return comm.broadcast(tmp_path)


@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    if COMM.size == 1:
        return
    # The same examples on every rank.
    hypothesis.settings.load_profile("ranks")
    share = {"cores": 1, "local_rank": COMM.local_rank, "local_size": COMM.local_size}
    os.environ.update(device_settings(os.environ, **share, gpus=gpu_count()))
    if COMM.rank > 0:
        config.pluginmanager.unregister(name="terminalreporter")


def pytest_collection_modifyitems(items):
    if COMM.size > 1:
        for item in items:
            # Python hears no signal while it waits inside of MPI: this one ends the process, and so all ranks.
            item.add_marker(pytest.mark.timeout(SECONDS, method="thread"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if COMM.size == 1:
        return report
    mine = None if report.outcome == "passed" else (report.outcome, report.longreprtext)
    all_ranks = COMM.meet(mine, PATIENCE if report.failed else SECONDS)
    if all_ranks is None:
        where = f"{item.nodeid} ({report.when}) on rank {COMM.rank} of {COMM.size}"
        print(f"{where}: {report.outcome}, others did not end.\n{report.longreprtext}", file=sys.__stderr__, flush=True)
        COMM.abort(1)
    failed = {rank: found for rank, found in enumerate(all_ranks) if found and found[0] == "failed"}
    skipped = [rank for rank, found in enumerate(all_ranks) if found and found[0] == "skipped"]
    if failed and COMM.rank not in failed:
        report.outcome = "failed"
        report.longrepr = "\n".join(f"On rank {rank}:\n{text}" for rank, (_, text) in failed.items())
    elif not failed and 0 < len(skipped) < COMM.size:
        report.outcome, report.longrepr = "failed", f"Skipped on ranks {skipped} only."
    return report
