"""The one exception for mistakes of a user, and the sentences that several rooms share.

Every message reads: `<name>` must <condition>, but <what was found>. <What to do>.
"""

import difflib
import math
from collections.abc import Iterable
from typing import Any

from qdist_kernels.namespace import is_jax


class QdistError(ValueError):
    """Something a user wrote cannot be honored; the message says what must hold, what was found, what to do."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'bob'?` for the closest known name, a list of the known names if few, else an empty string."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f" Did you mean '{close[0]}'?"
    if 0 < len(names) <= 8:
        return " Known: " + ", ".join(names) + "."
    return ""


def check_probability(name: str, value: Any) -> None:
    """Raise unless `value` lies in [0, 1]; traced values are not looked at."""
    if not is_jax(value) and not 0 <= value <= 1:
        raise QdistError(f"`{name}` must be a probability in [0, 1], but is {value}.")


def check_not_negative(name: str, value: Any, unit: str) -> None:
    """Raise unless `value` is a number ≥ 0 (`inf` is allowed); traced values are not looked at."""
    if not is_jax(value) and (math.isnan(value) or value < 0):
        raise QdistError(f"`{name}` must be at least 0 {unit}, but is {value}.")


def check_relaxation_times(t1: Any, t2: Any, where: str = "") -> None:
    """Raise unless 0 < t1, 0 < t2 ≤ 2·t1 (seconds): a qubit cannot lose phase more slowly than relaxation makes it."""
    if is_jax(t1) or is_jax(t2):
        return
    for name, value in (("t1", t1), ("t2", t2)):
        if not value > 0:
            raise QdistError(f"{where}`{name}` must be positive (seconds; `inf` for none), but is {value}.")
    if t2 > 2 * t1 * (1 + 1e-12):
        raise QdistError(f"{where}`t2` must be at most 2·t1 = {2 * t1:g} s, but is {t2:g} s. Lower t2 or raise t1.")
