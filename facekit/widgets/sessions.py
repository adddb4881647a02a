"""Where the web app's kernels keep their visitors' sessions, so that a page that is loaded again stays signed in."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from facekit.system.permissions import private_opener


class TokenStore:
    """Refresh tokens in a folder that only the app's user may enter, each under a key that only the visitor's tab has.

    The key comes in from the page; nothing goes out to it. What a kernel sends to its page can be heard by whoever
    listens to its output, and would be good for a session elsewhere.

    Parameters
    ----------
    folder : Path or None
        None, where kernels are not the app's: a notebook's kernel outlives a reload by itself.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    @classmethod
    def of_app(cls) -> TokenStore:
        """Those of the app that this kernel belongs to: ``FACEKIT_APP_SESSIONS`` names their folder."""
        folder = os.environ.get("FACEKIT_APP_SESSIONS")
        return cls(Path(folder) if folder else None)

    def keep(self, key: str, token: str) -> None:
        """Keep a token, in the place of an older one."""
        if self._folder is not None and key:
            path = self._path(key)
            part = path.with_name(f"{path.name}.{os.getpid()}")
            with open(part, "w", encoding="utf-8", opener=private_opener) as stream:
                stream.write(token)
            part.replace(path)

    def token(self, key: str) -> str | None:
        """The token under a key, or None."""
        try:
            return self._path(key).read_text(encoding="utf-8") if self._folder is not None and key else None
        except OSError:
            return None

    def forget(self, key: str) -> None:
        """Let go of the token under a key."""
        if self._folder is not None and key:
            self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        # The key may be anything, and its hash is a file's name.
        return (self._folder or Path()) / hashlib.sha256(key.encode()).hexdigest()
