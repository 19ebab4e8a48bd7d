"""Exact simulation of quantum states that are spread over the nodes of a network.

The public names are listed, by room, in `__init__.pyi`; each is imported when it is first used, so that the command
line starts at once.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
