"""The network: nodes, links, programs, protocols and circuits, and how they become instructions."""
