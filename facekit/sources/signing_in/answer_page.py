"""The small pages that a browser is shown which signs in, in its language; they load nothing and lead nowhere else."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SAFE = {"Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'", "Referrer-Policy": "no-referrer"}
DONE = {
    "en": "facekit has what it needs. You can close this page.",
    "ru": "Всё готово, facekit получил доступ. Эту страницу можно закрыть.",
}
REFUSED = {
    "en": "facekit was not let in. You can close this page.",
    "ru": "facekit не получил доступа. Эту страницу можно закрыть.",
}
NOT_MINE = {
    "en": "This page belongs to another sign-in. Go back to facekit and begin anew.",
    "ru": "Эта страница относится к другому входу. Вернитесь в facekit и начните заново.",
}
ASKS = {
    "en": "{user} is connecting photos from {kind} with this facekit. Go on only if that is you.",
    "ru": "{user} подключает фотографии из {kind} к этому facekit. Продолжайте, только если это вы.",
}
NOT_FOUND = {"en": "There is nothing here.", "ru": "Здесь ничего нет."}
_GO_ON = {"en": "Go on", "ru": "Продолжить"}
_PAGE = (
    '<!doctype html><html lang="{language}"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    "<title>facekit</title><p>{text}</p>{link}</html>"
)


def page_of(accepted: str, texts: Mapping[str, str], link: str | None = None) -> str:
    """A page with one sentence.

    Parameters
    ----------
    accepted : str
        The browser's header ``Accept-Language``.
    texts : mapping of str to str
        The sentence, by language.
    link : str, optional
        Where it leads.
    """
    language = "ru" if accepted.lower().startswith("ru") else "en"
    onward = f'<p><a rel="noreferrer" href="{escape(link)}">{_GO_ON[language]}</a></p>' if link else ""
    return _PAGE.format(language=language, text=escape(texts[language]), link=onward)
