"""The one door from nouns to screens: what ``show()`` of a library, of hits and of people goes through.

Widgets are an optional extra, and stand above the nouns that they show: they are loaded by name.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from facekit.errors import FacekitError


def view(widget: str, shown: object) -> Any:  # noqa: ANN401 - ipywidgets has no types
    """Make a widget that shows something.

    Parameters
    ----------
    widget : str
        A name in `facekit.widgets`: ``Gallery``, ``LibraryPanel``, ``PeoplePanel``.
    shown : object
        What it shows.

    Returns
    -------
    ipywidgets.DOMWidget

    Raises
    ------
    FacekitError
        If a package is not installed that widgets need.
    """
    try:
        made = getattr(import_module("facekit.widgets"), widget)
    except ModuleNotFoundError as error:
        message = f"Widgets need the package {error.name}, which is not installed."
        raise FacekitError(message, "Run `pip install 'facekit[notebook]'` and start the notebook anew.") from error
    return made(shown)
