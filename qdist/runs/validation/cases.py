"""All cases, in the order of the published list."""

from collections.abc import Callable

from qdist.runs.validation import clocks, cloning, keys, links, multipartite, pairs, teleported
from qdist.runs.validation.table import Row

CASES: tuple[Callable[[], list[Row]], ...] = (
    pairs.swapping,
    pairs.chains,
    pairs.bbpssw,
    pairs.dejmps,
    teleported.teleportation,
    teleported.remote_cnot,
    teleported.costs,
    links.waiting_times,
    links.fiber,
    pairs.chsh,
    pairs.entanglement,
    multipartite.monogamy,
    multipartite.mermin,
    keys.intercept_resend,
    keys.key_rates,
    keys.ekert,
    cloning.cloning,
    multipartite.dephased_ghz,
    multipartite.cascades,
    multipartite.dephased_cluster,
    clocks.jitter,
    clocks.synchronization,
    teleported.ghz_costs,
)


def run_validation() -> list[Row]:
    """Simulate every published result that is in reach."""
    return [row for case in CASES for row in case()]
