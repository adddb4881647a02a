"""Photos into a library: in batches, in other processes, resumable."""
