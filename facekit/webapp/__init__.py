"""The web app: a notebook that Voila shows as a page, in front of the process that owns the library."""
