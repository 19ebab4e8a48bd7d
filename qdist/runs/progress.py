"""A progress bar for long runs on a terminal, and nothing elsewhere."""

import sys
from typing import Any

DELAY = 1.0
"""Seconds before a bar appears: short runs stay quiet."""


class Progress:
    """Counts operations; draws on stderr if that is a terminal."""

    def __init__(self, title: str, *, enabled: bool | None = None) -> None:
        self._title = title
        self._enabled = sys.stderr.isatty() if enabled is None else enabled
        self._bar: Any = None

    def start(self, total: int) -> None:
        if self._enabled:
            from tqdm import tqdm

            self._bar = tqdm(total=total, desc=self._title, unit="op", delay=DELAY, leave=False, file=sys.stderr)

    def advance(self, count: int) -> None:
        if self._bar is not None:
            self._bar.update(count)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def silent() -> Progress:
    """A bar that is never drawn."""
    return Progress("", enabled=False)
