"""Import every module of a facekit that was installed without extras; run by `.ci/run`, with that one's Python.

The rooms of an extra may miss its packages; nothing else may.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pkgutil import walk_packages

import facekit

OF_EXTRAS = ("facekit.server", "facekit.webapp", "facekit.widgets", "facekit.cli.users")

failed = []
names = [module.name for module in walk_packages(facekit.__path__, "facekit.", onerror=lambda _name: None)]
for name in names:
    try:
        import_module(name)
    except ModuleNotFoundError as error:
        if not name.startswith(OF_EXTRAS) or str(error.name).startswith("facekit"):
            failed.append(f"{name}: {error}")
if len(names) < 100:
    failed.append(f"only {len(names)} modules were found")
for name in facekit.__all__:
    if name != "publish":
        getattr(facekit, name)
sys.exit("\n".join(failed) or 0)
