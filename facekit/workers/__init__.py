"""Ingest by many processes: who asks for it, and who does it. A library on servers has workers; see `worker`."""
