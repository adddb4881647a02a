"""Photos into a library: in batches, in other processes, resumable."""

from facekit.ingest.report import IngestReport

__all__ = ["IngestReport"]
