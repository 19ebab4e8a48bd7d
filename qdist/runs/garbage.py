"""What is made while a job is loaded and planned stays to its end: nothing of it is garbage."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def none_to_collect() -> Iterator[None]:
    """Inside, Python does not look for garbage again and again among what stays: a tenth to a fifth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
