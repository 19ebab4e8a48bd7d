"""What differs between OpenQASM 2 and 3: gates, functions, constants and reserved words.

Sources: Cross et al., arXiv:1707.03429 (OpenQASM 2) and arXiv:2104.14722 with the live specification (OpenQASM 3).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from qdist.network.circuits.values import popcount, rotate_left, rotate_right


@dataclass(frozen=True)
class Dialect:
    """One version of OpenQASM.

    Attributes:
        version: 2 or 3.
        builtin: Gates that need no include.
        library: The file with the standard gates.
        official: The gates it defines, which a program may not define again.
        extended: Gates that Qiskit puts into it too; a definition in the program wins.
        constants: Numbers with a name.
        functions: Functions of numbers, with their number of arguments.
    """

    version: int
    builtin: frozenset[str]
    library: str
    official: frozenset[str]
    extended: frozenset[str]
    constants: Mapping[str, float]
    functions: Mapping[str, tuple[Callable[..., Any], int]]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_COMMON_FUNCTIONS = {name: (getattr(math, name), 1) for name in ("sin", "cos", "tan", "exp", "sqrt")}

QASM2 = Dialect(
    version=2,
    builtin=_words("U CX"),
    library="qelib1.inc",
    official=_words("u3 u2 u1 cx id x y z h s sdg t tdg rx ry rz cz cy ch ccx crz cu1 cu3"),
    extended=_words("u0 u p sx sxdg swap cswap crx cry cp csx cu rxx rzz rccx rc3x c3x c3sqrtx c4x"),
    constants={"pi": math.pi},
    functions=_COMMON_FUNCTIONS | {"ln": (math.log, 1)},
)

QASM3 = Dialect(
    version=3,
    builtin=_words("U"),
    library="stdgates.inc",
    official=_words(
        "p x y z h s sdg t tdg sx rx ry rz cx cy cz cp crx cry crz ch swap ccx cswap cu CX phase cphase id u1 u2 u3"
    ),
    extended=frozenset(),
    constants={
        name: value
        for value, names in ((math.pi, "pi π"), (math.tau, "tau τ"), (math.e, "euler ℇ"))
        for name in names.split()
    },
    functions=_COMMON_FUNCTIONS
    | {
        "arccos": (math.acos, 1),
        "arcsin": (math.asin, 1),
        "arctan": (math.atan, 1),
        "log": (math.log, 1),
        "ceiling": (lambda x: float(math.ceil(x)), 1),
        "floor": (lambda x: float(math.floor(x)), 1),
        "mod": (lambda x, y: x % y, 2),
        "popcount": (popcount, 1),
        "rotl": (rotate_left, 2),
        "rotr": (rotate_right, 2),
    },
)

# Reserved in OpenQASM 3 only, so they may be names of registers and gates in OpenQASM 2.
QASM3_ONLY_WORDS = _words(
    "defcalgrammar def cal defcal extern box let break continue else end return for while in switch case default "
    "pragma input output const readonly mutable qubit bool bit int uint float angle complex array void duration "
    "stretch gphase inv pow ctrl negctrl durationof delay im true false"
)
