"""What `facekit demo` shows."""
