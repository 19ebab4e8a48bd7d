"""Physics: states, gates, channels and metrics. Knows nothing of networks, plans or files."""
