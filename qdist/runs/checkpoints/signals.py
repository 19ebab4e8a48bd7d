"""Signals that ask a run to stop: the first is remembered until the next step, the second ends the process at once."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ASKING = tuple(getattr(signal, name) for name in ("SIGUSR1", "SIGTERM", "SIGINT") if hasattr(signal, name))


class Asked:
    """Whether somebody asked this process to stop.

    Attributes:
        by: The name of the signal, or `None`.
    """

    def __init__(self) -> None:
        self.by: str | None = None

    def __bool__(self) -> bool:
        return self.by is not None


@contextmanager
def listening(say: Callable[[str], None]) -> Iterator[Asked]:
    """Take the signals while the block runs.

    Python's own handlers run between two of its instructions, and a kernel or a message may take minutes. A thread
    hears of signals at once, so that a second one ends the process even then.

    Args:
        say: Told the name of the first signal.
    """
    asked = Asked()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    ear, mouth = os.pipe()
    os.set_blocking(mouth, False)

    def listen() -> None:
        while heard := os.read(ear, 1):
            if heard[0] not in ASKING:
                continue
            if asked:
                # What the system does of itself: a shell and a batch system see which signal it was.
                os.kill(os.getpid(), signal.SIGKILL) if sys.platform == "win32" else os._exit(128 + heard[0])
            asked.by = signal.Signals(heard[0]).name
            # Whoever cannot be told must not keep this thread from hearing the second signal.
            with contextlib.suppress(Exception):
                say(asked.by)

    before = {number: signal.signal(number, lambda *_: None) for number in ASKING}
    old = signal.set_wakeup_fd(mouth, warn_on_full_buffer=False)
    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield asked
    finally:
        signal.set_wakeup_fd(old)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(mouth)
        thread.join()
        os.close(ear)
