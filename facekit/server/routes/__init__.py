"""The REST API, a file a noun."""
