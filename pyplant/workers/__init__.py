"""Reactors in parallel: the coordinator's side, and what workers do."""
