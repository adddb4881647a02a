"""`Library`, the verbs, wherever the library is kept: in a folder, or behind a service."""

from facekit.library.base import Library

__all__ = ["Library"]
