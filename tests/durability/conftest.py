"""How hard the tests of durability try: `pytest tests/durability --flips 300 --kills 200`."""

import pytest


def pytest_addoption(parser):
    parser.addoption("--flips", type=int, default=60, help="bytes of checkpoints that are flipped, one at a time")
    parser.addoption("--kills", type=int, default=5, help="runs that are killed")


@pytest.fixture(scope="session")
def flips(pytestconfig):
    # Under a plain `pytest` this file is read too late for options.
    return pytestconfig.getoption("--flips", 60)


@pytest.fixture(scope="session")
def kills(pytestconfig):
    return pytestconfig.getoption("--kills", 5)
