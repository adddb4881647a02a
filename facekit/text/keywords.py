"""A misspelt keyword: the error says which one was meant."""

from __future__ import annotations

import inspect
from difflib import get_close_matches
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")


def keywords_checked(function: Callable[P, T]) -> Callable[P, T]:
    """The same function, whose TypeError for a keyword that it doesn't have names the one that is most like it."""
    parameters = inspect.signature(function).parameters.values()
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        return function
    known = [one.name for one in parameters if one.kind in {one.KEYWORD_ONLY, one.POSITIONAL_OR_KEYWORD}]

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        for name in kwargs:
            if name not in known:
                raise TypeError(unknown_keyword(function.__name__, name, [one for one in known if one != "self"]))
        return function(*args, **kwargs)

    return checked


def unknown_keyword(function: str, name: str, known: list[str]) -> str:
    """What to say of a keyword that there is not."""
    return f"{function}() has no keyword argument {name[:100]!r}. {meant(name, known)}"


def meant(name: str, known: list[str]) -> str:
    """The name that is most like one that there is not, or else all names, in a sentence."""
    like = get_close_matches(name, known, 1)
    return f"Did you mean {like[0]!r}?" if like else f"It takes {', '.join(known) or 'none'}."


class KeywordsChecked:
    """A class whose public methods, those of its subclasses included, check their keywords."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name, value in list(vars(cls).items()):
            if not name.startswith("_") and inspect.isfunction(value) and not inspect.isgeneratorfunction(value):
                setattr(cls, name, keywords_checked(value))
