"""How good a verification or a clustering is, on arrays."""
