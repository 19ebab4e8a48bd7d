"""The sets of kernels that a test can be run on."""

import pytest

from qdist_kernels import native, settings


@pytest.fixture(params=["native", "jax"])
def kernel_set(request, monkeypatch):
    """Both, one after the other."""
    monkeypatch.setenv(settings.KERNELS, request.param)
    _forget()
    yield request.param
    monkeypatch.undo()
    _forget()


def _forget():
    for question in (native.is_used, native.is_used_on_gpu):
        question.cache_clear()
