"""`Library`, the verbs, wherever the library is kept: in a folder, or behind a service."""
