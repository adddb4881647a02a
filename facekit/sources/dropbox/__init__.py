"""Dropbox: one's own folders, and shared links."""
