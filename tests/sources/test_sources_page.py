"""``docs/sources.md`` says of errors and of hosts what the code does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from facekit.errors import SignInError
from facekit.sources.dropbox import answers as dropbox_answers
from facekit.sources.google_photos import answers as google_answers
from facekit.sources.kinds import kinds
from facekit.sources.network.answers import Answer, Ending, judged_by_status
from facekit.sources.vk import calls as vk_calls
from facekit.sources.yandex_disk import answers as yandex_answers

if TYPE_CHECKING:
    from facekit.sources.network.answers import Judge

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "sources.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
WORDS = {
    Ending.RETRY: r"^(tries|waits)|, and tries again",
    Ending.SKIP: r"skips|missing",
    Ending.STOP: r"stops",
    Ending.RECONNECT: r"sign in again|another token",
    dropbox_answers.CursorResetError: r"begins the list anew",
    dropbox_answers.NotThereError: r"is missing|stops; takes nothing away",
    dropbox_answers.NotLetInError: r"asks for the password",
    google_answers.NotPickedError: r"not been picked yet",
    google_answers.WrongPageError: r"begins the list anew",
    google_answers.NoSessionError: r"opens another",
    google_answers.ExpiredError: r"lists the session once more; then skips",
}
"""How the page says what an answer leads to, by the ending or by what the service's own code raises."""


def rows(head: str) -> list[tuple[str, str]]:
    """A table of the page, by how its first line begins."""
    found = PAGE[PAGE.index(f"\n| {head} |") :].strip().partition("\n\n")[0]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")[:2]) for line in found.splitlines()[2:]]


def leads_to(judge: Judge, status: int, said: object) -> object:
    answer = Answer(status, {}, said if isinstance(said, bytes) else json.dumps(said).encode())
    try:
        trouble = judge(answer) or judged_by_status("It", answer)
    except Exception as raised:  # noqa: BLE001 - the service's own, which its connector catches
        return type(raised)
    assert trouble is not None
    return trouble.ending


def statuses(text: str) -> set[int]:
    """What ``401``, ``404, 410``, ``5xx`` and ``any other 4xx`` stand for."""
    every = set(range(int(wide[1]) * 100, int(wide[1]) * 100 + 100)) if (wide := re.search(r"(\d)xx", text)) else set()
    return every | {int(number) for number in re.findall(r"\b\d{3}\b", text)}


def test_every_status_leads_where_the_page_says() -> None:
    table = rows("answer")
    named: dict[int, str] = {}
    for answer, ending in table:
        if re.match(r"\d|any other", answer):
            named |= dict.fromkeys(statuses(answer) - (set(named) if "other" in answer else set()), ending)
    assert set(named) == set(range(300, 600))
    for status, ending in named.items():
        assert leads_to(lambda _: None, status, {}) == ending, status
    assert {ending for ending, _ in rows("ending")} == set(Ending)


def test_every_host_is_on_the_page() -> None:
    table = {name: set(re.findall(r"`([^`]+)`", hosts)) for name, hosts in rows("source")}
    assert table == {kind.words: set(kind.hosts) for kind in kinds().values() if kind.hosts}


def test_a_kind_names_the_hosts_that_give_and_revoke_its_tokens() -> None:
    for kind in kinds().values():
        for address in (kind.sign_in.token, kind.sign_in.revoke) if kind.sign_in else ():
            assert address is None or urlsplit(address).hostname in kind.hosts


def test_every_host_is_in_the_readme() -> None:
    privacy = README[README.index("\n## Privacy") : README.index("\n## Licence")]
    for kind in kinds().values():
        for host in kind.hosts:
            assert f"`{host.removeprefix('*.')}`" in privacy


def vk_ending(code: int) -> object:
    """What an error leads to, where it is not one album's, which is left out."""
    body = {"error": {"error_code": code}}
    if vk_calls.judge(Answer(200, {}, json.dumps(body).encode())) is not None:
        return leads_to(vk_calls.judge, 200, body)
    return Ending.RECONNECT if isinstance(vk_calls.Refusal(code).error(), SignInError) else Ending.STOP


def test_vks_errors_lead_where_the_page_says() -> None:
    found = {code: what for errors, what in rows("VK says") for code in leading_numbers(errors)}
    for code, what in found.items():
        assert re.search(WORDS[vk_ending(code)], what), code
    known = {*vk_calls._RETRIED, *vk_calls._PAUSED, *vk_calls._TOKEN_REFUSED, *vk_calls._OTHER_TOKEN}
    assert known | {vk_calls.CAPTCHA, vk_calls.VALIDATION} <= set(found)


def leading_numbers(errors: str) -> list[int]:
    """Those that stand for errors: ``5, 17 words``; of ``1 words, 10 words`` both."""
    return [int(code) for code in re.findall(r"(?:^|, )(\d+)\b", errors)] if errors[0].isdecimal() else []


@pytest.mark.parametrize("row", rows("Yandex says"), ids=lambda row: row[0][:50])
def test_yandex_disks_errors_lead_where_the_page_says(row: tuple[str, str]) -> None:
    errors, what = row
    for status in re.findall(r"\b\d{3}\b", errors):
        name = re.search(r"\w+Error", errors)
        said = {"error": name[0] if name else "SomeError", "description": "Words."}
        ending = leads_to(yandex_answers.judge, int(status), said)
        assert re.search(WORDS[ending], what), (status, ending)


@pytest.mark.parametrize("row", rows("Dropbox says"), ids=lambda row: row[0][:50])
def test_dropboxs_errors_lead_where_the_page_says(row: tuple[str, str]) -> None:
    errors, what = row
    number = re.match(r"\d{3}", errors)
    for tag in re.findall(r"`([\w/]+)`", errors) if number else ():
        if tag == "retry_after":
            continue
        within = "" if "/" in tag or int(number[0]) != 409 or tag == "reset" or "shared" in tag else "path/"
        said = {"error_summary": f"{within}{tag}/..", "error": {".tag": tag}}
        ending = leads_to(dropbox_answers.judged, int(number[0]), said)
        assert re.search(WORDS[ending], what), (tag, ending)


GOOGLE = {
    "401": (google_answers.judged, 401, "UNAUTHENTICATED", ""),
    "403 for want of the scope": (google_answers.judged, 403, "PERMISSION_DENIED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"),
    "403 `SERVICE_DISABLED`": (google_answers.judged, 403, "PERMISSION_DENIED", "SERVICE_DISABLED"),
    "403, other": (google_answers.judged, 403, "PERMISSION_DENIED", ""),
    "400 `FAILED_PRECONDITION`": (google_answers.judged_list, 400, "FAILED_PRECONDITION", ""),
    "400 `INVALID_ARGUMENT` of a page's token": (google_answers.judged_list, 400, "INVALID_ARGUMENT", ""),
    "404 of a session": (google_answers.judged_session, 404, "NOT_FOUND", ""),
    "429 `RESOURCE_EXHAUSTED` when a session is opened": (google_answers.judged_opening, 429, "RESOURCE_EXHAUSTED", ""),
    "429 otherwise, 5xx": (google_answers.judged, 429, "RESOURCE_EXHAUSTED", ""),
    "403, 404, 410 of a photo's bytes": (google_answers.judged_photo, 410, "", ""),
}


def test_google_photos_errors_lead_where_the_page_says() -> None:
    table = dict(rows("Google says"))
    assert set(GOOGLE) == {row for row in table if row[0].isdecimal()}
    for row, (judge, status, word, reason) in GOOGLE.items():
        details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}]
        ending = leads_to(judge, status, {"error": {"status": word, "message": "Words.", "details": details}})
        assert re.search(WORDS[ending], table[row]), (row, ending)


@pytest.mark.parametrize("page", [PAGE, README], ids=["docs", "README"])
def test_commands_name_kinds_and_options_that_there_are(page: str) -> None:
    named = re.findall(r"facekit sources add ([a-z-]+)(?![\w:/.])([^`\n#(]*)", page)
    assert page is README or named
    for kind, options in named:
        assert set(re.findall(r"--set ([\w-]+)=", options)) <= set(kinds()[kind].settings), (kind, options)
    used = set(re.findall(r"facekit sources add [^`\n#(]*?(--[a-z-]+)", page))
    assert used <= {"--set", "--name", "--token-file", "--keep-originals"}
