"""Faces grouped into people, on arrays."""
