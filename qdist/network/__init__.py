"""The network: nodes, links, programs, protocols and circuits, and how they become instructions."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submodules=["protocols"])
