"""The one process that owns a library and serves it to notebooks, the command line, the web app and programs."""
