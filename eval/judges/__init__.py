"""Judges: each reads a request and a response and says refused, answered or invalid."""
