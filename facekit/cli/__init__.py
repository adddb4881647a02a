"""The command line, a mirror of the Python API."""
