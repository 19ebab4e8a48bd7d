"""Checkpoints: where a run stands, written so that it can be killed at any moment and go on on any number of ranks."""
