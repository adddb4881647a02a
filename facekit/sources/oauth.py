"""How a service lets facekit in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facekit.errors import SignInError

if TYPE_CHECKING:
    from facekit.sources.item import Ask, SignIn, Token


def sign_in(how: SignIn, ask: Ask) -> Token:
    """Sign in. Raises SignInError."""
    message = f"Nobody can sign in at {how.authorize} yet ({ask})."
    raise SignInError(message, "Give a token.")
