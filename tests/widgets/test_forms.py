"""The forms in a real browser, each alone: what a person does there reaches Python, and what Python says is seen."""

from __future__ import annotations

import csv
import io
import json
import re
import stat
import time
from datetime import date
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
from browser import chromium, overflow, show, violations

from facekit.errors import LibraryBusyError, RefusedError, ServiceError
from facekit.search.hits import Hits
from facekit.text.spreadsheets import csv_bytes
from facekit.types.arrays import Quality
from facekit.types.photos import Folder, Hit, Status
from facekit.types.work import Background, DeadBatch, Kind
from facekit.widgets.appbar import AppBar, Choice
from facekit.widgets.ingestform import IngestForm, _work
from facekit.widgets.searchform import SearchForm
from facekit.widgets.sessions import TokenStore
from facekit.widgets.signin import SignIn

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from facekit.ingest.report import IngestReport
    from facekit.library.base import Library
    from facekit.widgets.base import Widget

__all__ = ["chromium", "show"]

QUALITY = Quality(0.9, 100.0, 50.0, 0.0, 0.0, 0.0)
NAMES = ["=cmd|' /C calc'!A0.jpg", "/фото/Бабушка, 1961.jpg", "/a/plain.jpg"]


def until(page: Page, condition: Callable[[], object]) -> None:
    """Let the page and the widget talk until something is so."""
    for _ in range(400):
        if condition():
            return
        page.wait_for_timeout(25)
    pytest.fail("it did not happen")


def some_hits(names: list[str]) -> Hits:
    library: Any = None  # no photo is looked at
    hits = [
        Hit(rank, name, f"p{rank}", f"f{rank}", 0.5, (0.1, 0.2, 0.3, 0.4), QUALITY, "local", None)
        for rank, name in enumerate(names, 1)
    ]
    return Hits(tuple(hits), (), 50, 0.363, 100, library)


class Folders:
    """As much of a library as a search form asks for."""

    search_similarity = 0.363

    def __init__(self, *folders: Folder) -> None:
        self._folders = folders

    def folders(self) -> tuple[Folder, ...]:
        return self._folders


class Ingesting:
    """A library whose ingest goes on until it is let go or stopped."""

    def __init__(self, steps: list[tuple[int, int]]) -> None:
        self.steps = steps
        self.go = Event()

    def ingest(self, _root: str, *, progress: Callable[[int, int], None], stop: Event) -> IngestReport:
        from facekit.ingest.report import IngestReport

        for done, total in self.steps:
            progress(done, total)
        while not (stop.is_set() or self.go.is_set()):
            time.sleep(0.01)
        return IngestReport(found=10, ingested=1, stopped=stop.is_set(), seconds=3.0)


class Accounts:
    """A service with one account."""

    def __init__(self) -> None:
        self.tokens = {"from before"}
        self.asked: list[str] = []
        self.devices: list[str] = []

    device_token = "device 1"

    def sign_in(self, name: str, password: str, device: str = "") -> str:
        self.asked.append(f"{name}:{password}")
        self.devices.append(device)
        if (name, password) != ("anna", "горячий чай"):
            message = "No."
            raise ServiceError(message, status=401)
        return self._token()

    def resume(self, refresh_token: str) -> str:
        if refresh_token not in self.tokens:
            message = "No."
            raise ServiceError(message, status=401)
        self.tokens.remove(refresh_token)
        return self._token()

    def _token(self) -> str:
        token = f"token {len(self.asked)}"
        self.tokens.add(token)
        return token


SPRING = (
    Folder("local", "/data/Photos/", 12),
    Folder("local", "/data/Photos/2019/", 5),
    Folder("local", "/data/Photos/2019/весна/", 2),
)

# -- search ------------------------------------------------------------------------------------------------------------


def test_what_is_chosen_reaches_python_as_the_search_takes_it(show: Callable[..., Page]) -> None:
    form = SearchForm(Folders(*SPRING), ready=True)
    page = show(form)
    page.get_by_label("Folder").select_option("2019/весна (2)")
    page.get_by_label("Taken from").fill("2019-03-01")
    page.get_by_label("Taken up to").fill("2019-05-31")
    page.get_by_label("At most").select_option("200 photos")
    page.get_by_label("Also small").check()
    until(page, lambda: form.include_poor)
    assert form.filters() == {
        "top_k": 200,
        "min_similarity": 0.363,
        "source": None,
        "folder": "/data/Photos/2019/весна/",
        "after": "2019-03-01",
        "before": date(2019, 6, 1),  # that the last day counts
        "include_poor": True,
    }
    assert page.get_by_label("Source").is_hidden()


def test_the_slider_says_its_number_in_words_and_goes_back_to_the_models_own(show: Callable[..., Page]) -> None:
    form = SearchForm(Folders())
    page = show(form)
    slider = page.get_by_role("slider", name="How alike the faces must be")
    assert slider.get_attribute("aria-valuetext") == "0.36 · balanced"
    assert page.get_by_role("button", name="Reset").is_disabled()
    slider.focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    until(page, lambda: form.similarity == pytest.approx(0.56))
    assert slider.get_attribute("aria-valuetext") == "0.56 · very strict"
    page.get_by_role("button", name="Reset").click()
    until(page, lambda: form.similarity == 0.363)


def test_without_a_picture_the_button_says_why_it_does_nothing(show: Callable[..., Page]) -> None:
    form = SearchForm(Folders())
    searches: list[float] = []
    form.on_search(lambda: searches.append(form.similarity))
    page = show(form)
    button = page.get_by_role("button", name="Search")
    assert button.is_disabled()
    assert page.get_by_text("Add a picture of the person first.").is_visible()
    form.ready = True
    until(page, button.is_enabled)
    page.get_by_label("Taken from").fill("2020-01-01")
    page.get_by_label("Taken up to").fill("2019-01-01")
    assert button.is_disabled()
    assert page.get_by_text("The first day is after the last.").is_visible()
    page.get_by_label("Taken up to").fill("2021-01-01")
    button.click()
    until(page, lambda: searches)
    assert (form.after, form.before) == ("2020-01-01", "2021-01-01")


def test_after_a_search_a_new_threshold_searches_again_once(show: Callable[..., Page]) -> None:
    form = SearchForm(Folders(), ready=True)
    searches: list[float] = []

    def search() -> None:
        searches.append(round(form.similarity, 2))
        form.show(some_hits(NAMES))

    form.on_search(search)
    page = show(form)
    page.get_by_role("slider").press("ArrowLeft")
    page.wait_for_timeout(600)
    assert searches == []
    page.get_by_role("button", name="Search").click()
    until(page, lambda: searches)
    assert searches == [0.35]
    for _ in range(5):
        page.get_by_role("slider").press("ArrowLeft")
    until(page, lambda: len(searches) > 1)
    assert searches == [0.35, 0.30]
    assert page.get_by_text("3 photos found").is_visible()


def test_nobody_found_suggests_a_lower_threshold_and_failures_are_shown(show: Callable[..., Page]) -> None:
    form = SearchForm(Folders(), ready=True)
    form.on_search(lambda: form.show(some_hits([])))
    page = show(form)
    page.get_by_role("button", name="Search").click()
    page.get_by_text("No photo of this person was found.").wait_for()
    assert page.get_by_text("towards “loose”").is_visible()
    assert page.get_by_role("button", name="Save as CSV").is_hidden()

    def fail() -> None:
        message = "The disk is away."
        raise ServiceError(message, status=500)

    form.on_search(fail)
    page.get_by_role("button", name="Search").click()
    page.get_by_role("alert").get_by_text("The disk is away.").wait_for()
    assert not form.busy


def test_the_csv_comes_down_with_cyrillic_and_without_formulas(show: Callable[..., Page]) -> None:
    form = SearchForm(Folders())
    page = show(form)
    hits = some_hits(NAMES)
    form.show(hits)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as CSV").click()
    assert download.value.suggested_filename == "facekit-hits.csv"
    data = Path(download.value.path()).read_bytes()
    assert data.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    assert [row["photo"] for row in rows] == ["'" + NAMES[0], *NAMES[1:]]
    assert list(rows[0]) == list(hits.to_frame().columns)
    assert (rows[0]["similarity"], rows[0]["h"], rows[0]["person"]) == ("0.5", "0.4", "")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as JSON").click()
    assert json.loads(Path(download.value.path()).read_text(encoding="utf-8")) == hits.to_dict()


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_begins_like_a_formula(start: str) -> None:
    rows = list(csv.reader(io.StringIO(csv_bytes(some_hits([start + "1"]).to_frame()).decode(), newline="")))
    assert rows[1][1] == "'" + start + "1"


def test_russian_counts_as_russians_do(show: Callable[..., Page]) -> None:
    form = SearchForm(Folders(*SPRING))
    page = show(form, locale="ru-RU")
    assert page.locator(".fk").get_attribute("lang") == "ru"
    for count, said in [
        (1, "Найдена 1 фотография"),
        (3, "Найдены 3 фотографии"),
        (5, "Найдено 5 фотографий"),
        (11, "Найдено 11 фотографий"),
        (21, "Найдена 21 фотография"),
    ]:
        form.found = count
        page.get_by_text(said, exact=True).wait_for()
    form.language = "en"
    page.get_by_text("21 photos found", exact=True).wait_for()


# -- ingest ------------------------------------------------------------------------------------------------------------


def test_a_folder_is_brought_in_and_its_failures_are_listed(
    show: Callable[..., Page],
    demo_library: Library,
    grace_hopper: Path,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "новые"
    folder.mkdir()
    (folder / "one.jpg").write_bytes(grace_hopper.read_bytes() + b"\0")
    (folder / "<b>broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing more")
    form = IngestForm(demo_library)
    ended: list[bool] = []
    form.on_done(lambda: ended.append(form.running))
    page = show(form)
    assert page.get_by_role("button", name="Add photos").is_disabled()
    page.get_by_label("Folder with photos").fill(str(folder))
    page.get_by_label("Folder with photos").press("Enter")
    page.get_by_role("heading", name="Done in").wait_for(timeout=120_000)
    until(page, lambda: ended == [False])
    assert page.get_by_text("1 photo added", exact=True).is_visible()
    assert page.get_by_text("1 face found", exact=True).is_visible()
    cells = page.locator("tbody td").all_text_contents()
    assert cells[0] == str(folder / "<b>broken.jpg")
    assert cells[1].startswith("damaged")
    assert "cut short" in cells[1]
    assert violations(page) == []
    assert demo_library.photo_page(folder=folder).total == 2


def test_progress_is_a_bar_with_rate_and_time_left_and_can_be_cancelled(show: Callable[..., Page]) -> None:
    library: Any = Ingesting([(64, 1000)])
    form = IngestForm(library, path="/photos")
    page = show(form)
    page.get_by_role("button", name="Add photos").click()
    bar = page.get_by_role("progressbar", name="Progress")
    until(page, lambda: bar.get_attribute("value") == "64")
    assert bar.get_attribute("max") == "1000"
    form.progress = {"done": 500, "total": 1000, "rate": 12.34, "left": 190.0}
    page.get_by_text("500 of 1,000 files · 12.3 files/s · about 3 min left").wait_for()
    with pytest.raises(LibraryBusyError, match="already"):
        form.start("/elsewhere")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("heading", name="Stopped after 3 sec").wait_for()
    assert page.get_by_text("What is done is kept").is_visible()
    assert page.get_by_role("button", name="Cancel").is_hidden()


def test_progress_is_told_at_most_five_times_a_second() -> None:
    library: Any = Ingesting([(done, 100_000) for done in range(1, 50_000)])
    library.go.set()
    form = IngestForm(library)
    told: list[dict[str, Any]] = []
    form.observe(lambda change: told.append(change.new), "progress")
    form.start("/photos")
    form.wait()
    assert len(told) < 20
    assert form.report["ingested"] == 1


def test_a_folder_that_is_not_there_is_one_readable_line(show: Callable[..., Page], demo_library: Library) -> None:
    form = IngestForm(demo_library, path="/нет/такой")
    page = show(form)
    page.get_by_role("button", name="Add photos").click()
    line = page.get_by_role("alert").get_by_text("/нет/такой")
    line.wait_for()
    until(page, page.get_by_role("button", name="Add photos").is_enabled)
    assert "Traceback" not in line.inner_text()


def test_only_the_first_200_failures_travel(show: Callable[..., Page]) -> None:
    from facekit.ingest.report import Failure, IngestReport

    class Library:
        def ingest(self, _root: str, **_options: Any) -> IngestReport:
            failed = [Failure(f"/p/{number}.jpg", Status.CORRUPT, "It is damaged.") for number in range(1, 1241)]
            return IngestReport(found=1240, failed=failed, warnings=["/p/x: Permission denied"])

    stub: Any = Library()
    form = IngestForm(stub, path="/p")
    page = show(form, locale="ru-RU")
    page.get_by_role("button", name="Добавить").click()
    page.locator("caption").get_by_text(re.compile(r"^1\s240 файлов не удалось использовать$")).wait_for()
    assert page.locator("tbody tr").count() == 200
    assert page.get_by_text(re.compile(r"и ещё 1\s040")).is_visible()
    assert page.get_by_text("Внимание: /p/x: Permission denied").is_visible()


def test_an_ingest_that_a_service_is_doing_is_shown_and_can_be_cancelled(show: Callable[..., Page]) -> None:
    library: Any = Ingesting([(7, 70)])
    library.running_ingest = lambda: "job 1"
    library.follow_ingest = lambda _job, progress, stop: library.ingest("", progress=progress, stop=stop)
    page = show(IngestForm(library))
    page.get_by_text("7 of 70 files").wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("heading", name="Stopped").wait_for()


def busy_workers(**counts: Any) -> Background:
    numbers = {"queued": 0, "running": 0, "done": 9, "dead": 0, "workers": 3, "index_due": 0, "oldest_seconds": 1.5}
    return Background(**{**numbers, "given_up": []} | counts)


GIVEN_UP = [
    DeadBatch("b1", "w1", Kind.FILES, ["family:/<b>лето</b>/IMG_1.jpg", "family:/IMG_2.jpg"], "PhotoError: no answer"),
    DeadBatch("b2", "w2", Kind.SCAN, [], "family:/ is not there for one"),
]


def test_what_workers_do_is_shown_and_what_they_gave_up_can_be_tried_again(
    show: Callable[..., Page], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [busy_workers(queued=1120, running=16, dead=2, given_up=GIVEN_UP, index_due=1, oldest_seconds=130.0)]
    again: list[str] = []

    def try_again(_library: object, key: str) -> int:
        again.append(key)
        if len(again) == 1:
            message = "Nothing of it was given up."
            raise RefusedError(message, "")
        now[0] = busy_workers(queued=1138)
        return 2

    monkeypatch.setattr("facekit.library.background.background_of", lambda _: now[0])
    monkeypatch.setattr("facekit.library.background.try_again", try_again)
    library: Any = Ingesting([])
    page = show(IngestForm(library))
    said = ["3 workers", "1,120 files wait", "16 files are being read", "2 files were given up"]
    said += ["searches don't find 1 face yet", "the oldest wait for 2 min"]
    page.get_by_text(" · ".join(said), exact=True).wait_for()
    table = page.get_by_role("region", name="Given up after several tries")
    assert table.locator("td").all_text_contents() == [
        "family:/<b>лето</b>/IMG_1.jpg",
        "PhotoError: no answer",
        "family:/IMG_2.jpg",
        "PhotoError: no answer",
        "All of it",
        "family:/ is not there for one",
    ]
    page.get_by_role("button", name="Try again").click()
    page.get_by_text("3 workers · 1,138 files wait", exact=True).wait_for()
    assert again == ["w1", "w2"]
    assert table.count() == 0
    assert page.get_by_role("button", name="Try again").is_hidden()
    now[0] = busy_workers(workers=0)  # it is looked at again and again, while it is seen
    page.get_by_text("workers", exact=False).wait_for(state="hidden")


# -- sign-in -----------------------------------------------------------------------------------------------------------


def test_a_password_goes_to_the_service_and_nowhere_else(show: Callable[..., Page], tmp_path: Path) -> None:
    accounts = Accounts()
    sessions = TokenStore(tmp_path)
    form = SignIn(accounts, sessions)
    inside: list[bool] = []
    form.on_signed_in(lambda: inside.append(True))
    page = show(form)
    page.get_by_label("Name").fill("anna")
    page.get_by_label("Password", exact=True).fill("горячий чай")
    page.get_by_role("button", name="Show").click()
    assert page.get_by_label("Password", exact=True).get_attribute("type") == "text"
    page.get_by_label("Password", exact=True).press("Enter")
    until(page, lambda: inside)
    assert accounts.asked == ["anna:горячий чай"]
    assert "горячий" not in json.dumps(form.get_state(), ensure_ascii=False, default=str)
    assert page.get_by_label("Password", exact=True).input_value() == ""
    until(page, lambda: page.evaluate("sessionStorage.getItem('fk-session')"))
    key = page.evaluate("sessionStorage.getItem('fk-session')")
    assert len(key) == 64
    assert sessions.token(key) == "token 1"
    assert sessions.token("another's") is None
    device = page.evaluate("localStorage.getItem('fk-device')")
    assert len(device) == 64
    until(page, lambda: sessions.token(f"{device} anna") == "device 1")
    assert [stat.S_IMODE(kept.stat().st_mode) for kept in tmp_path.iterdir()] == [0o600, 0o600]
    assert not any(key in kept.name or device in kept.name for kept in tmp_path.iterdir())
    form.forget()
    page.get_by_label("Password", exact=True).fill("горячий чай")
    page.get_by_label("Password", exact=True).press("Enter")
    until(page, lambda: accounts.devices == ["", "device 1"])
    assert page.get_by_label("Name").get_attribute("autocomplete") == "username"
    assert page.get_by_label("Password", exact=True).get_attribute("autocomplete") == "current-password"


def test_a_wrong_password_is_said_so(show: Callable[..., Page]) -> None:
    page = show(SignIn(Accounts(), TokenStore(None)))
    page.get_by_label("Name").fill("anna")
    page.get_by_label("Password", exact=True).fill("cold tea")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("alert").get_by_text("Name or password is wrong.").wait_for()
    assert page.evaluate("sessionStorage.length") == 0
    assert page.get_by_label("Name").input_value() == "anna"


def test_a_reload_stays_signed_in_until_one_signs_out(show: Callable[..., Page], tmp_path: Path) -> None:
    accounts, sessions = Accounts(), TokenStore(tmp_path)
    sessions.keep("made up", "from before")
    form = SignIn(accounts, sessions)
    page = show(form)
    page.evaluate("sessionStorage.setItem('fk-session', 'made up')")
    page.reload()
    until(page, lambda: accounts.tokens == {"token 0"})
    until(page, lambda: sessions.token("made up") == "token 0")
    assert page.evaluate("sessionStorage.getItem('fk-session')") == "made up"
    form.forget()
    until(page, lambda: page.evaluate("sessionStorage.getItem('fk-session')") is None)
    assert not list(tmp_path.iterdir())


def test_a_duplicated_tab_does_not_use_up_the_session_of_the_first(show: Callable[..., Page], tmp_path: Path) -> None:
    accounts, sessions = Accounts(), TokenStore(tmp_path)
    sessions.keep("made up", "from before")
    page = show(SignIn(accounts, sessions))
    first = page.context.new_page()
    first.route("**/*", lambda route: route.fulfill(content_type="text/html", body="<title>first</title>"))
    first.goto(page.url)
    first.evaluate("() => { navigator.locks.request('fk-made up', () => new Promise(() => {})); }")
    page.evaluate("sessionStorage.setItem('fk-session', 'made up')")
    page.reload()
    until(page, lambda: page.evaluate("sessionStorage.getItem('fk-session')") is None)
    assert accounts.tokens == {"from before"}
    assert page.get_by_label("Name").is_visible()


def test_a_session_that_has_ended_is_said_so(show: Callable[..., Page]) -> None:
    page = show(SignIn(Accounts(), TokenStore(None)))
    page.evaluate("sessionStorage.setItem('fk-session', 'too old')")
    page.reload()
    page.get_by_role("alert").get_by_text("Your session has ended.").wait_for()
    assert page.evaluate("sessionStorage.getItem('fk-session')") is None


# -- the bar -----------------------------------------------------------------------------------------------------------


def test_the_bar_turns_pages_and_changes_language_and_theme(show: Callable[..., Page]) -> None:
    bar = AppBar(names=["search", "gallery", "ingest"], chosen="search", user="anna", role="editor")
    left: list[bool] = []
    bar.on_sign_out(lambda: left.append(True))
    page = show(bar)
    assert page.get_by_label("Theme").is_hidden()  # where the page is not ours
    page.add_init_script(
        "document.addEventListener('readystatechange', () => (document.body.dataset.voila = 'voila'), { once: true })"
    )
    page.reload()
    assert page.get_by_role("button", name="Search").get_attribute("aria-current") == "page"
    page.get_by_role("button", name="Gallery").focus()
    page.keyboard.press("Enter")
    until(page, lambda: bar.chosen == "gallery")
    assert page.get_by_role("button", name="Gallery").evaluate("node => node === document.activeElement")
    page.get_by_label("Theme").select_option("Dark")
    assert page.evaluate("[document.body.dataset.jpThemeLight, localStorage['fk-theme']]") == ["false", "dark"]
    assert page.locator(".fk").get_attribute("data-fk-theme") == "dark"
    page.get_by_label("Theme").select_option("Auto")
    assert page.evaluate("[document.body.dataset.jpThemeLight, localStorage['fk-theme']]") == ["true", None]
    page.get_by_label("Language").select_option("Русский")
    until(page, lambda: bar.language == "ru")
    assert page.evaluate("document.documentElement.lang") == "ru"
    assert page.get_by_text("anna (редактор)").is_visible()
    page.get_by_role("button", name="Выйти").click()
    until(page, lambda: left)


def test_categories_show_their_numbers(show: Callable[..., Page]) -> None:
    choice = Choice(names=["all", "no_face"], chosen="all", counts={"all": 12345, "no_face": 0})
    page = show(choice)
    page.get_by_role("button", name="Without faces 0").click()
    until(page, lambda: choice.chosen == "no_face")
    assert page.get_by_role("button", name="All photos 12,345").get_attribute("aria-current") is None


# -- all of them -------------------------------------------------------------------------------------------------------


def everything() -> dict[str, Widget]:
    library: Any = Ingesting([])
    failed = [{"path": "/photos/IMG_2041.jpg", "status": "corrupt", "reason": "/photos/IMG_2041.jpg is cut short"}]
    report = {"found": 1432, "ingested": 1201, "unchanged": 221, "duplicates": 9, "faces": 2033, "no_face": 244}
    report |= {"missing": 2, "seconds": 95.0, "stopped": False, "warnings": [], "failures": 1, "failed": failed}
    return {
        "search": SearchForm(Folders(*SPRING), ready=True, found=21, similarity=0.3),
        "ingest": IngestForm(library, path="/data/Photos", report=report),
        "running": IngestForm(
            library,
            path="/data/Photos",
            running=True,
            progress={"done": 512, "total": 1432, "rate": 12.6, "left": 73.0},
        ),
        "workers": IngestForm(library, path="/data/Photos", work=_work(busy_workers(queued=120, given_up=GIVEN_UP))),
        "signin": SignIn(Accounts(), TokenStore(None), notice="signin.wrong"),
        "bar": AppBar(names=["search", "gallery", "ingest"], chosen="search", user="anna", role="editor"),
        "choice": Choice(names=["all", "no_face", "failed", "missing", "faces"], chosen="all", counts={"all": 3}),
    }


@pytest.mark.parametrize("name", ["search", "ingest", "running", "workers", "signin", "bar", "choice"])
def test_every_form_fits_a_phone_and_has_nothing_that_axe_calls_serious(show: Callable[..., Page], name: str) -> None:
    widget = everything()[name]
    page = show(widget, width=320, touch=True)
    assert violations(page) == []
    assert overflow(page) <= 0
    page.emulate_media(color_scheme="dark")
    widget.language = "ru"
    page.locator(".fk[lang=ru][data-fk-theme=dark]").wait_for()
    assert violations(page) == []
    assert overflow(page) <= 0
    for control in page.locator("button:visible, select:visible, input:visible:not([type=checkbox])").all():
        box = control.bounding_box()
        assert box is not None
        assert box["height"] >= 36, control.evaluate("node => node.outerHTML")
