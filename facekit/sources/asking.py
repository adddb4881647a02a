"""What only the user can do, asked for in a terminal or a notebook."""

from __future__ import annotations

import sys
import webbrowser
from contextlib import suppress
from typing import TYPE_CHECKING

from facekit.errors import SourceError

if TYPE_CHECKING:
    from facekit.sources.item import Prompt


class NobodyThereError(SourceError):
    """Something has to be asked, where there is neither a terminal nor a notebook."""


def ask_here(prompt: Prompt) -> str:
    """Show a prompt where this process has a terminal or a notebook; open its page; return what the user types.

    Raises
    ------
    NobodyThereError
        If it has neither.
    """
    if not _somebody_is_there():
        message = f"Somebody is wanted, and there is no terminal and no notebook: {prompt.text.rstrip(': ')}"
        raise NobodyThereError(message, "Sync it from a terminal, a notebook or the page.")
    lines = [prompt.text, *(f"  {address}" for address in (prompt.link, prompt.image) if address)]
    print("\n".join(lines), file=sys.stderr if not _notebook() else sys.stdout, flush=True)
    if prompt.link and prompt.link.startswith(("https://", "http://")):  # a browser opens files, too
        with suppress(webbrowser.Error):
            webbrowser.open(prompt.link)
    return input("> ").strip() if prompt.answer else ""


def _somebody_is_there() -> bool:
    return _notebook() or (sys.stdin is not None and sys.stdin.isatty())


def _notebook() -> bool:
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None
