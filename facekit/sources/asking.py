"""What only the user can do, asked for in a terminal or a notebook."""

from __future__ import annotations

import sys
import webbrowser
from base64 import b64decode
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkstemp
from typing import TYPE_CHECKING, NoReturn

from facekit.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from facekit.sources.item import Prompt

_ENDINGS = {f"data:image/{kind}": kind for kind in ("jpeg", "png", "gif", "webp")}


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
        nobody(prompt)
    with _shown(prompt.image) as image:
        lines = [prompt.text, *(f"  {address}" for address in (prompt.link, image) if address)]
        print("\n".join(lines), file=sys.stderr if not _notebook() else sys.stdout, flush=True)
        if prompt.link and prompt.link.startswith(("https://", "http://")):  # a browser opens files, too
            _open(prompt.link)
        if image and image != prompt.image:  # a file of ours
            _open(image)
        return input("> ").strip() if prompt.answer else ""


def _open(address: str) -> None:
    with suppress(webbrowser.Error):
        webbrowser.open(address)


@contextmanager
def _shown(image: str | None) -> Iterator[str | None]:
    """A picture's address, as long as it is needed; one that is the picture itself lies in a file of the user's own."""
    kind, _, data = (image or "").partition(";base64,")
    ending = _ENDINGS.get(kind)
    if ending is None:
        yield image
        return
    picture = b64decode(data)
    if _notebook():
        from IPython.display import Image, display

        display(Image(picture))  # type: ignore[no-untyped-call]
        yield None
        return
    number, name = mkstemp(f".{ending}", "facekit-")  # nobody else may read it
    try:
        with open(number, "wb") as file:  # noqa: PTH123 - it is open already
            file.write(picture)
        yield Path(name).as_uri()
    finally:
        Path(name).unlink(missing_ok=True)


def nobody(prompt: Prompt) -> NoReturn:
    """Where nobody is to be asked. Raises SourceError."""
    message = f"Somebody is wanted, and there is no terminal and no notebook: {prompt.text.rstrip(': ')}"
    raise NobodyThereError(message, "Sync it from a terminal, a notebook or the page.")


def _somebody_is_there() -> bool:
    return _notebook() or (sys.stdin is not None and sys.stdin.isatty())


def _notebook() -> bool:
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None
