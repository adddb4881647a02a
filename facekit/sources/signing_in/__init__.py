"""How connected places let facekit in: OAuth, tokens, and where they are kept."""
