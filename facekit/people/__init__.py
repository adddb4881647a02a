"""People: faces grouped into clusters, clusters turned into people with names, and corrections that last."""
