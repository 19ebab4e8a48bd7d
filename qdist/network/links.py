"""What joins two nodes: the pair it delivers, how often an attempt succeeds, how long attempts and messages take."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qdist.errors import QdistError, check_probability
from qdist.network.devices import check_finite, check_number
from qdist.physics import states
from qdist.physics.states import State
from qdist_kernels.namespace import is_jax, namespace

SPEED_OF_LIGHT = 299_792_458.0
GROUP_INDEX = 1.468
"""Of standard single-mode fiber (ITU-T G.652) at 1550 nm, as data sheets give it."""

SPEED_OF_LIGHT_IN_FIBER = SPEED_OF_LIGHT / GROUP_INDEX
"""About 2.042e8 m/s, or 4.897 µs per km; used for photons and for classical messages."""

NODE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")


def check_node_name(name: Any) -> None:
    """Raise unless `name` can name a node."""
    if not isinstance(name, str) or not NODE_NAME.fullmatch(name):
        raise QdistError(
            f"A node name must be a letter followed by letters, digits, '_', '.' or '-', but is {name!r}. "
            "The '/' is kept for qubits, as in 'alice/0'."
        )


def transmission(length: Any, loss_db_per_km: Any = 0.2) -> Any:
    """Probability that a photon leaves the far end of a fiber.

    η = 10^(−α L / 10)

    Args:
        length: L in meters.
        loss_db_per_km: α in dB per kilometer.
    """
    return 10.0 ** (-loss_db_per_km * (length / 1000.0) / 10.0)


def repeaterless_bound(eta: Any) -> Any:
    """Most ebits (or secret bits) per use of a lossy fiber without a repeater.

    K = −log₂(1 − η)

    Source: Pirandola, Laurenza, Ottaviani and Banchi, Nat. Commun. 8, 15043 (2017). Infinite for η = 1.
    """
    check_probability("eta", eta)
    if not is_jax(eta) and eta == 1:
        return math.inf
    return -namespace(eta).log1p(-eta) / math.log(2)


@dataclass(frozen=True, kw_only=True)
class Link:
    """A fiber between two nodes that makes entangled pairs in heralded attempts.

    Each attempt succeeds with `probability_per_attempt` and takes `duration_per_attempt`; a success leaves the
    pair `pair_state()`, one qubit at each end. The state is that of the moment at which both ends know of the
    success: what the memories lose during an attempt is part of it. Simulators differ by constant factors in an
    attempt's duration, so: the default L/v is that of a herald in the middle, to which a photon travels L/2 and
    from which the message travels L/2. A photon sent from end to end with an answer takes 2L/v; give
    `attempt_duration` for that, or to include the preparation. Values may be traced by JAX; traced values are
    not checked.

    Attributes:
        between: The names of the two nodes.
        length: Meters of fiber.
        loss_db_per_km: Attenuation, 0.2 dB/km for standard fiber at 1550 nm.
        fidelity: The pair is a Werner state of this fidelity with Φ⁺.
        weights: The pair is Bell-diagonal with these four weights, in the order phi+, phi−, psi+, psi−.
        matrix: The pair is this 4×4 density matrix, `between[0]` its first factor. Without `fidelity`, `weights`
            and `matrix` the pair is a perfect Φ⁺; at most one of them may be given.
        success_probability: Of one attempt; None stands for the transmission of the fiber.
        attempt_duration: Seconds; None stands for length / `SPEED_OF_LIGHT_IN_FIBER`.

    Raises:
        QdistError: A value is out of range, the ends are the same, or the pair is given twice or unphysical.
    """

    between: tuple[str, str]
    length: Any = 0.0
    loss_db_per_km: Any = 0.2
    fidelity: Any = None
    weights: Any = None
    matrix: Any = None
    success_probability: Any = None
    attempt_duration: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "between", _checked_ends(self.between))
        check_finite("length", self.length, "m")
        check_finite("loss_db_per_km", self.loss_db_per_km, "dB/km")
        if self.attempt_duration is not None:
            check_finite("attempt_duration", self.attempt_duration, "s")
        if self.success_probability is not None:
            check_number("success_probability", self.success_probability)
            if not is_jax(self.success_probability) and not 0 < self.success_probability <= 1:
                raise QdistError(
                    "`success_probability` must be positive and at most 1, but is "
                    f"{self.success_probability}. Leave it out for the transmission of the fiber."
                )
        probability = self.probability_per_attempt
        if not is_jax(probability) and probability == 0:
            raise QdistError(
                f"`length` must let some light through, but {self.length:g} m at {self.loss_db_per_km:g} dB/km lets "
                "none. Shorten the link or give `success_probability`."
            )
        _check_pair(self)
        object.__setattr__(self, "weights", _tuples(self.weights))
        object.__setattr__(self, "matrix", _tuples(self.matrix))

    @property
    def name(self) -> str:
        """The ends joined by a hyphen, e.g. `"alice-bob"`."""
        return "-".join(self.between)

    @property
    def probability_per_attempt(self) -> Any:
        """`success_probability`, or the transmission of the fiber."""
        if self.success_probability is None:
            return transmission(self.length, self.loss_db_per_km)
        return self.success_probability

    @property
    def duration_per_attempt(self) -> Any:
        """`attempt_duration`, or length / v, in seconds."""
        return self.classical_delay if self.attempt_duration is None else self.attempt_duration

    @property
    def classical_delay(self) -> Any:
        """Seconds that a classical message takes from end to end: length / v."""
        return self.length / SPEED_OF_LIGHT_IN_FIBER

    def pair_state(self, qubits: Sequence[str] | None = None) -> State:
        """The pair that a successful attempt delivers, the first qubit at `between[0]`.

        Args:
            qubits: Names of the two qubits, `"q/0"` and `"q/1"` unless given.
        """
        if self.matrix is not None:
            matrix = self.matrix if is_jax(self.matrix) else np.asarray(self.matrix)
            return states.from_matrix(matrix, qubits)
        if self.weights is not None:
            return states.bell_diagonal(self.weights, qubits)
        if self.fidelity is not None:
            return states.werner(self.fidelity, qubits)
        return states.bell("phi+", qubits)


def _checked_ends(between: Any) -> tuple[str, str]:
    if isinstance(between, str) or not isinstance(between, Sequence) or len(between) != 2:
        raise QdistError(f'`between` must be the names of two nodes such as ["alice", "bob"], but is {between!r}.')
    for name in between:
        check_node_name(name)
    if between[0] == between[1]:
        raise QdistError(f"`between` must name two different nodes, but names '{between[0]}' twice.")
    return tuple(between)


def _check_pair(link: Link) -> None:
    given = [name for name in ("fidelity", "weights", "matrix") if getattr(link, name) is not None]
    if len(given) > 1:
        raise QdistError(
            "The pair of a link must be given by one of `fidelity`, `weights` and `matrix`, "
            f"but has {' and '.join(f'`{name}`' for name in given)}. Remove all but one."
        )
    if link.fidelity is not None:
        check_number("fidelity", link.fidelity)
        check_probability("fidelity", link.fidelity)
    if link.weights is not None:
        _check_weights(link.weights)
    if link.matrix is not None and not is_jax(link.matrix):
        _check_matrix(link.matrix)


def _check_weights(weights: Any) -> None:
    if isinstance(weights, str) or not hasattr(weights, "__len__"):
        raise QdistError(f"`weights` must be four numbers (phi+, phi-, psi+, psi-), but is {weights!r}.")
    for weight in weights:
        check_number("weights", weight)
    states.bell_diagonal(weights)


def _check_matrix(matrix: Any) -> None:
    try:
        array = np.asarray(matrix, complex)
    except (TypeError, ValueError):
        raise QdistError("`matrix` must be a 4×4 table of numbers, but has other entries.") from None
    if array.shape != (4, 4):
        raise QdistError(f"`matrix` must be a 4×4 table of numbers, but has shape {array.shape}.")
    if not np.all(np.isfinite(array)):
        raise QdistError("`matrix` must be finite, but has an entry that is infinite or not a number.")
    if abs(np.trace(array) - 1) > 1e-6:
        raise QdistError(
            f"`matrix` must have trace 1, but has {np.trace(array).real:g}. "
            "Divide it by its trace and give the probability as `success_probability`."
        )
    states.from_matrix(array)


def _tuples(value: Any) -> Any:
    """Lists and NumPy arrays as nested tuples, so that a link without traced values can be compared and hashed."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return tuple(_tuples(entry) for entry in value) if isinstance(value, list | tuple) else value
