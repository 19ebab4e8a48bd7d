"""The machine: instructions on named digits, and the plans they become. Knows nothing of nodes."""
