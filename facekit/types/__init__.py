"""The nouns that every room of facekit shares."""
