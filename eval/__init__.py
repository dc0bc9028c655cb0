"""Measuring: probe sets, the engine that answers them, judges, metrics with intervals, the frontier, and the store."""
