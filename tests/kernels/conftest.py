"""The sets of kernels that a test can be run on."""

import pytest

from qdist_kernels import native, settings


@pytest.fixture(params=["native", "jax"])
def kernel_set(request, monkeypatch):
    """Both, one after the other."""
    monkeypatch.setenv(settings.KERNELS, request.param)
    native.is_used.cache_clear()
    yield request.param
    monkeypatch.undo()
    native.is_used.cache_clear()
