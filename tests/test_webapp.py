"""The web app's page: Voila with our template, opened in a browser."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
import pytest

from facekit.errors import FacekitError

pytest.importorskip("voila")
pytest.importorskip("playwright")

from playwright.sync_api import Browser, Page, expect

from facekit.webapp import launch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COUNTER = '''
import os

import anywidget
import traitlets

SECRET_OF_THE_SOURCE = 1


class Counter(anywidget.AnyWidget):
    """A button that the kernel counts for."""

    _esm = """
    export default { render({ model, el }) {
      const button = document.createElement("button");
      const draw = () => { button.textContent = `${model.get("pid")} ${model.get("count")}`; };
      button.addEventListener("click", () => model.send({}));
      model.on("change:count", draw);
      draw();
      el.append(button);
    } };
    """
    pid = traitlets.Int(os.getpid()).tag(sync=True)
    count = traitlets.Int(0).tag(sync=True)
    service = traitlets.Unicode(os.environ["FACEKIT_SERVICE"]).tag(sync=True)

    def press(self, *_):
        """Count, and tell what the environment has."""
        self.count += 1 + sum(name.startswith("FACEKIT_") for name in os.environ)


counter = Counter()
counter.on_msg(counter.press)
counter
'''


def write_notebook(path: Path, *sources: str) -> Path:
    cells = [
        {"cell_type": "code", "id": f"c{i}", "metadata": {}, "execution_count": None, "outputs": [], "source": source}
        for i, source in enumerate(sources)
    ]
    title = {"cell_type": "markdown", "id": "title", "metadata": {}, "source": "# The notebook's title"}
    document = {"cells": [title, *cells], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def ask(url: str, method: str = "GET") -> tuple[int, str]:
    try:
        with urlopen(Request(url, method=method), timeout=30) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def wait_for_kernel(voila: int) -> psutil.Process:
    until = time.monotonic() + 30
    while not (children := psutil.Process(voila).children()) and time.monotonic() < until:
        time.sleep(0.1)
    return children[0]


def gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=10)[1]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[launch.App]:
    folder = tmp_path_factory.mktemp("app")
    page = write_notebook(folder / "counter.ipynb", COUNTER)
    os.environ["FACEKIT_API_KEY"] = "the owner's"
    try:
        running = launch.start("http://127.0.0.1:1", folder / "logs" / "app.log", port=free_port(), page=page)
    finally:
        del os.environ["FACEKIT_API_KEY"]
    yield running
    running.stop()


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Open an address as a visitor of one's own."""
    contexts = []

    def opened(url: str, **how: Any) -> Page:
        contexts.append(chromium.new_context(**how))
        page = contexts[-1].new_page()
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()


def button(page: Page) -> Any:
    return page.locator("#app button")


def test_the_page_shows_the_widget_and_asks_no_other_host(chromium: Browser, app: launch.App) -> None:
    page = chromium.new_page()
    asked: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda connection: asked.append(connection.url))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    answer = page.goto(app.url)
    expect(button(page)).to_contain_text(re.compile(r"^\d+ 0$"))
    expect(page.locator("#loading")).to_be_hidden()
    button(page).click()
    expect(button(page)).to_contain_text(re.compile(r"^\d+ 2$"))  # one FACEKIT_ variable only: FACEKIT_SERVICE
    host = app.url.removeprefix("http://")
    assert [url for url in asked if f"//{host}" not in url] == []
    assert errors == []
    assert page.title() == "facekit"
    policy = answer.headers["content-security-policy"] if answer else ""
    assert "default-src 'self'" in policy
    assert "http" not in policy
    page.close()


def test_neither_source_nor_title_of_the_notebook_are_in_the_page(visit: Callable[..., Page], app: launch.App) -> None:
    page = visit(app.url)
    expect(button(page)).to_be_visible()
    content = page.content()
    assert "SECRET_OF_THE_SOURCE" not in content
    assert "anywidget.AnyWidget" not in content
    assert "The notebook's title" not in content


@pytest.mark.parametrize(
    "path",
    [
        "voila/files/search.ipynb",
        "voila/files/SEARCH.IPYNB",
        "voila/files/anything.jpg",
        "voila/files/../../../../../../etc/passwd",
        "voila/files/%2e%2e/%2e%2e/etc/passwd",
        "voila/static/../../../../../../../../../../etc/passwd",
        "voila/templates/facekit/static/../../../../../../../../etc/passwd",
        "voila/templates/..%2f..%2f/static/x",
        "voila/labextensions/../../../../../../etc/passwd",
        "voila/tree",
        "voila/render/search.ipynb",
        "voila/api/contents",
        "api/contents/search.ipynb",
        "api/kernels",
        "api/kernelspecs",
        "api/sessions",
        "tree",
        "lab",
        "login",
        "search.ipynb",
        "metrics",
        "?template=lab&theme=dark",
    ],
)
def test_other_addresses_give_nothing_away(app: launch.App, path: str) -> None:
    status, body = ask(app.url + path)
    if path.startswith("?"):  # the page itself, whatever template the visitor asks for
        assert status == 200
        assert "page.executed()" in body
        return
    assert 400 <= status < 600
    for secret in [str(Path.home()), str(app.folder), "site-packages", "root:", "Traceback", "SECRET_OF_THE_SOURCE"]:
        assert secret not in body


def test_nobody_can_start_a_kernel_or_change_a_file(app: launch.App) -> None:
    assert ask(app.url + "api/kernels", "POST")[0] in {403, 404}
    assert ask(app.url + "api/contents/new.ipynb", "PUT")[0] in {403, 404}
    assert [path.name for path in (app.folder / "app").rglob("*")] == ["search.ipynb"]


def test_an_unknown_address_is_answered_by_a_friendly_page(visit: Callable[..., Page], app: launch.App) -> None:
    page = visit(app.url + "no/such/page", locale="ru-RU")
    expect(page.locator("main")).to_contain_text("Такой страницы нет.")
    assert page.evaluate("document.documentElement.lang") == "ru"
    page = visit(app.url + "no/such/page")
    expect(page.locator("main")).to_contain_text("There is no such page.")
    page.locator("main a").click()
    expect(button(page)).to_be_visible()


def test_two_visitors_have_kernels_of_their_own(visit: Callable[..., Page], app: launch.App) -> None:
    pages = [visit(app.url), visit(app.url)]
    button(pages[0]).click()
    expect(button(pages[0])).to_contain_text(re.compile(r" 2$"))
    expect(button(pages[1])).to_contain_text(re.compile(r" 0$"))
    kernels = [psutil.Process(int(button(page).inner_text().split()[0])) for page in pages]
    assert kernels[0] != kernels[1]
    pages[0].goto("about:blank")  # leaves
    assert gone(kernels[:1])
    button(pages[1]).click()
    expect(button(pages[1])).to_contain_text(re.compile(r" 2$"))


def test_the_page_follows_the_theme_of_the_system_and_of_the_app(visit: Callable[..., Page], app: launch.App) -> None:
    page = visit(app.url + "missing", color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) == "rgb(23, 24, 28)"
    assert page.evaluate("document.body.dataset.jpThemeLight") == "false"
    page.emulate_media(color_scheme="light")
    page.wait_for_function(f"{background} === 'rgb(244, 245, 247)'")
    page.evaluate("document.body.dataset.jpThemeLight = 'false'")  # as the app does it
    page.wait_for_function(f"{background} === 'rgb(23, 24, 28)'")
    page.evaluate("localStorage.setItem('fk-theme', 'dark')")
    page.reload()
    assert page.evaluate(background) == "rgb(23, 24, 28)"


def test_a_page_whose_kernel_died_says_that_it_sleeps(visit: Callable[..., Page], app: launch.App) -> None:
    page = visit(app.url, locale="ru-RU", viewport={"width": 360, "height": 640})
    expect(button(page)).to_be_visible()
    psutil.Process(int(button(page).inner_text().split()[0])).kill()
    notice = page.locator("#asleep")
    expect(notice).to_be_visible(timeout=20_000)
    expect(notice).to_contain_text("Страница уснула.")
    notice.get_by_role("button", name="Обновить").click()
    expect(button(page)).to_contain_text(re.compile(r"^\d+ 0$"))
    expect(notice).to_be_hidden()


def test_a_visitor_whose_waiting_kernel_has_died_is_told_to_reload(visit: Callable[..., Page], tmp_path: Path) -> None:
    page = write_notebook(tmp_path / "counter.ipynb", COUNTER)
    app = launch.start("http://127.0.0.1:1", tmp_path / "app.log", port=free_port(), page=page)
    try:
        wait_for_kernel(app.process.pid).kill()
        shown = visit(app.url)
        shown.get_by_role("button", name="Reload").click()
        expect(button(shown)).to_contain_text(re.compile(r"^\d+ 0$"))
    finally:
        app.stop()


def test_a_page_that_was_culled_while_the_phone_slept_says_so(visit: Callable[..., Page], app: launch.App) -> None:
    page = visit(app.url)
    expect(button(page)).to_be_visible()
    page.evaluate("""() => {
        const { kernelId } = JSON.parse(document.getElementById("jupyter-config-data").textContent);
        const token = document.cookie.match("_xsrf=([^;]*)")[1];
        return fetch(`/voila/api/shutdown/${kernelId}`, { method: "POST", headers: { "X-XSRFToken": token } });
    }""")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("#asleep")).to_be_visible()
    expect(page.locator("#asleep")).to_contain_text("This page went to sleep. Reload to go on.")


def test_a_failing_cell_is_a_friendly_line_and_its_traceback_is_in_the_log(
    visit: Callable[..., Page], tmp_path: Path
) -> None:
    page = write_notebook(tmp_path / "broken.ipynb", "secret_name = 1 / 0", "print('never reached')")
    app = launch.start("http://127.0.0.1:1", tmp_path / "app.log", port=free_port(), page=page)
    try:
        shown = visit(app.url)
        expect(shown.locator("#failed")).to_be_visible()
        expect(shown.locator("#failed")).to_contain_text("Something went wrong here.")
        expect(shown.locator("#loading")).to_be_hidden()
        content = shown.content()
        for secret in ["secret_name", "ZeroDivisionError", "Traceback", "never reached"]:
            assert secret not in content
        assert "ZeroDivisionError" in app.log.read_text()
    finally:
        app.stop()
    assert not app.folder.exists()


def test_an_app_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "voila.py").write_text("raise ImportError('half installed')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(FacekitError, match="did not start") as caught:
        launch.start("http://127.0.0.1:1", tmp_path / "app.log", port=free_port())
    assert "half installed" in caught.value.remedy
    assert str(tmp_path / "app.log") in caught.value.remedy


def test_a_port_that_is_taken_is_said_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(FacekitError, match=f"can't listen on 127.0.0.1:{port}"):
            launch.start("http://127.0.0.1:1", tmp_path / "app.log", port=port)


def test_without_voila_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(launch, "find_spec", lambda name: None)
    with pytest.raises(FacekitError, match=r"facekit\[app\]"):
        launch.start("http://127.0.0.1:1", tmp_path / "app.log")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_process_is_left_when_the_parent_ends(tmp_path: Path, how: signal.Signals) -> None:
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from facekit.webapp import launch\n"
        "app = launch.start('http://127.0.0.1:1', Path(sys.argv[1]), port=int(sys.argv[2]))\n"
        "try:\n"
        "    print('up', flush=True)\n"
        "    time.sleep(60)\n"
        "finally:\n"
        "    app.stop()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "app.log"), str(free_port())],
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"up\n"
        wait_for_kernel(psutil.Process(parent.pid).children()[0].pid)
        family = psutil.Process(parent.pid).children(recursive=True)
        os.killpg(parent.pid, how)  # as a terminal does it
    assert gone(family)
