"""facekit's version, for modules that would otherwise import the whole package for it."""

__version__ = "0.1.0"
