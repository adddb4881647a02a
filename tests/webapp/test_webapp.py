"""The web app's page: Voila with our template, opened in a browser."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from threading import Event, Timer
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
import pytest
from conftest import need

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
        known = {"FACEKIT_SERVICE", "FACEKIT_APP_LOG", "FACEKIT_APP_SESSIONS"}
        self.count += 2 + sum(name.startswith("FACEKIT_") for name in os.environ if name not in known)


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


def changed(*lines: str) -> tuple[str, ...]:
    """The command of the app, with something about it changed."""
    return (sys.executable, "-c", "\n".join(["from facekit.webapp import handlers, pages", *lines, "pages.main()"]))


def ask(url: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    try:
        with urlopen(Request(url, method=method, headers=headers), timeout=120) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def wait_for_kernels(voila: int, count: int = 1) -> list[psutil.Process]:
    until = time.monotonic() + 120
    while len(children := psutil.Process(voila).children()) < count and time.monotonic() < until:
        time.sleep(0.1)
    return children


def gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=120)[1]


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
        for page in context.pages:
            page.close(run_before_unload=True)  # its kernel ends
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
    expect(button(page)).to_contain_text(re.compile(r"^\d+ 2$"))  # no FACEKIT_ variable but those it is to have
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
        "voila/templates/facekit/static/../index.html.j2",
        "voila/templates/facekit/static/%00",
        "voila/templates/facekit",
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
    assert 400 <= status < 500
    for secret in [
        str(Path.home()),
        str(app.runtime.path),
        "site-packages",
        "root:",
        "Traceback",
        "SECRET_OF_THE_SOURCE",
    ]:
        assert secret not in body


def test_nobody_can_start_a_kernel_or_change_a_file(app: launch.App) -> None:
    assert ask(app.url + "api/kernels", "POST")[0] in {403, 404}
    assert ask(app.url + "api/contents/new.ipynb", "PUT")[0] in {403, 404}
    assert [path.name for path in (app.runtime.path / "app").rglob("*")] == ["search.ipynb"]


def test_to_ask_whether_the_page_is_there_takes_no_kernel(app: launch.App) -> None:
    before = wait_for_kernels(app.process.pid)
    assert ask(app.url, "HEAD") == (200, "")
    assert psutil.Process(app.process.pid).children() == before


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("HEAD", ""),
        ("GET", "missing"),
        ("GET", "voila/templates/facekit/static/page.js"),
        ("GET", "voila/static/voila.js"),
        ("GET", "api/kernels/1-1-1-1-1"),
        ("DELETE", "api/kernels/1-1-1-1-1"),
        ("POST", "voila/api/shutdown/1-1-1-1-1"),
    ],
)
def test_a_page_whose_name_was_made_to_point_here_gets_nothing(app: launch.App, method: str, path: str) -> None:
    status, body = ask(app.url + path, method, Host="photos.example:8866")
    assert status == 403
    assert body == ("" if method == "HEAD" else "This app answers on this machine only. Open it at http://localhost.\n")


def test_this_machine_has_three_names(app: launch.App) -> None:
    for name in ["localhost", "LOCALHOST:8866", "127.0.0.1", "[::1]:8866"]:
        assert ask(app.url, "HEAD", Host=name)[0] == 200
    for name in ["localhost.example", "127.0.0.1.example", "0.0.0.0", "::1"]:
        assert ask(app.url, "HEAD", Host=name)[0] == 403


def test_a_kernel_is_reached_only_from_here_and_with_messages_that_can_be_read(
    visit: Callable[..., Page], app: launch.App
) -> None:
    page = visit(app.url)
    expect(button(page)).to_be_visible()
    kernel = page.evaluate("JSON.parse(document.getElementById('jupyter-config-data').textContent).kernelId")
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "x"}
    for how, status in [
        ({"Sec-WebSocket-Protocol": "v1.kernel.websocket.jupyter.org", "Host": "photos.example"}, 403),
        ({"Sec-WebSocket-Protocol": "v0, v1.kernel.websocket.jupyter.org"}, 101),
        ({"Sec-WebSocket-Protocol": "v0, v2.kernel.websocket.jupyter.org"}, 400),
        ({}, 400),
    ]:
        connection = HTTPConnection(app.url.split("/")[2], timeout=120)
        connection.request("GET", f"/api/kernels/{kernel}/channels?session_id=s", headers=headers | how)
        assert connection.getresponse().status == status
        connection.close()
    button(page).click()
    expect(button(page)).to_contain_text(re.compile(r" 2$"))


def test_a_message_that_lies_about_its_length_ends_its_connection_and_nothing_else(
    visit: Callable[..., Page], app: launch.App
) -> None:
    page = visit(app.url)
    expect(button(page)).to_be_visible()
    for message in ["new Uint8Array(64).fill(255)", "new Uint8Array(3)", "'{}'"]:
        code = page.evaluate(
            """message => new Promise((done) => {
                const { kernelId } = JSON.parse(document.getElementById("jupyter-config-data").textContent);
                const address = `ws://${location.host}/api/kernels/${kernelId}/channels?session_id=liar`;
                const socket = new WebSocket(address, "v1.kernel.websocket.jupyter.org");
                socket.addEventListener("open", () => socket.send(eval(message)));
                socket.addEventListener("close", (event) => done(event.code));
            })""",
            message,
        )
        assert code == 1007
    button(page).click()
    expect(button(page)).to_contain_text(re.compile(r" 2$"))


ODD_MESSAGE = """() => new Promise((done) => {
    const { kernelId } = JSON.parse(document.getElementById("jupyter-config-data").textContent);
    const address = `ws://${location.host}/api/kernels/${kernelId}/channels?session_id=odd`;
    const socket = new WebSocket(address, "v1.kernel.websocket.jupyter.org");
    socket.binaryType = "arraybuffer";
    const heard = [];
    const say = (kind, content) => {
        const header = { msg_id: kind, msg_type: kind, username: "", session: "odd", date: "", version: "5.4" };
        const parts = ["shell", header, {}, {}, content]
            .map((part, i) => new TextEncoder().encode(i ? JSON.stringify(part) : part));
        const offsets = [8 * (parts.length + 2)];
        parts.forEach((part) => offsets.push(offsets.at(-1) + part.length));
        const message = new Uint8Array(offsets.at(-1));
        const view = new DataView(message.buffer);
        [offsets.length, ...offsets].forEach((one, i) => view.setBigUint64(8 * i, BigInt(one), true));
        parts.forEach((part, i) => message.set(part, offsets[i]));
        socket.send(message);
    };
    socket.addEventListener("open", () => {
        say("comm_open", { comm_id: "odd", target_name: "jupyter.widget", data: { state: { _model_module: 1 } } });
        say("comm_open", { comm_id: 5, target_name: "no.such.target", data: {} });
        say("comm_msg", { comm_id: "odd" });
        say("kernel_info_request", {});
    });
    socket.addEventListener("message", (event) => {
        heard.push(new TextDecoder().decode(event.data));
        if (heard.some((one) => one.includes("kernel_info_reply") && one.includes("protocol_version")))
            setTimeout(() => done(heard), 1000);
    });
})"""


def test_what_a_kernel_prints_reaches_the_log_and_no_visitor(visit: Callable[..., Page], app: launch.App) -> None:
    page = visit(app.url)
    expect(button(page)).to_be_visible()
    heard = page.evaluate(ODD_MESSAGE)
    assert heard
    for word in ("Traceback", "site-packages", "stderr"):
        assert not any(word in one for one in heard)
    assert "Traceback" in app.log.read_text()
    button(page).click()
    expect(button(page)).to_contain_text(re.compile(r" 2$"))


KNOCK = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
for path in sys.argv[1:]:
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.connect(path)
        print("in", path)
    except PermissionError:
        print("refused", path)
"""


@pytest.mark.skipif(os.name == "nt", reason="ZeroMQ has no Unix sockets on Windows")
def test_no_other_user_reaches_a_kernel(visit: Callable[..., Page], app: launch.App) -> None:
    page = visit(app.url)
    expect(button(page)).to_be_visible()
    kernel = psutil.Process(int(button(page).inner_text().split()[0]))
    connection = Path(kernel.cmdline()[-1])
    assert json.loads(connection.read_text())["transport"] == "ipc"
    sockets = sorted(str(one) for one in connection.parent.iterdir() if one.is_socket())
    assert len([one for one in sockets if connection.stem in one]) == 5
    assert app.runtime.path.stat().st_mode & 0o077 == 0
    if os.getuid():
        pytest.skip("only root can become another user")
    asked = subprocess.run([sys.executable, "-c", KNOCK, *sockets], check=False, capture_output=True, text=True)
    assert asked.stdout.splitlines() == [f"refused {one}" for one in sockets], asked


def test_too_many_visitors_are_asked_to_wait_until_one_who_never_came_is_forgotten(
    visit: Callable[..., Page], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "COMMAND", changed("handlers.KERNELS = 3", "pages.CHECK_SECONDS = 6"))
    page = write_notebook(tmp_path / "counter.ipynb", COUNTER)
    app = launch.start("http://127.0.0.1:1", tmp_path / "app.log", host="0.0.0.0", port=free_port(), page=page)
    try:
        first = visit(app.url)
        expect(button(first)).to_be_visible()
        present = wait_for_kernels(app.process.pid, 2)
        assert ask(app.url, Host="photos.example")[0] == 200  # other machines may know this one by any name
        wait_for_kernels(app.process.pid, 3)
        second = visit(app.url, locale="ru-RU")
        expect(second.locator("main")).to_contain_text("Сейчас слишком много посетителей.")
        mine = int(button(first).inner_text().split()[0])
        assert gone([kernel for kernel in present if kernel.pid != mine])
        second.get_by_role("button", name="Обновить").click()
        expect(button(second)).to_be_visible()
        button(first).click()
        expect(button(first)).to_contain_text(re.compile(r" 2$"))
    finally:
        app.stop()


def test_no_visitor_takes_all_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "COMMAND", changed("handlers.VISITOR_KERNELS = 2"))
    page = write_notebook(tmp_path / "counter.ipynb", COUNTER)
    log = tmp_path / "app.log"
    app = launch.start("http://127.0.0.1:1", log, port=free_port(), page=page, proxies=["127.0.0.1"])
    try:
        # Through a proxy: what visitors say of themselves, before what it adds, counts for nothing.
        first = [ask(app.url, **{"X-Forwarded-For": f"10.9.9.{number}, 203.0.113.7"})[0] for number in range(4)]
        assert first == [200, 200, 503, 503]
        assert [ask(app.url, **{"X-Forwarded-For": "203.0.113.8"})[0] for _ in range(3)] == [200, 200, 503]
    finally:
        app.stop()


def test_pages_that_were_closed_without_a_word_keep_nobody_out(
    visit: Callable[..., Page], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A phone ends a page without telling its kernel."""
    monkeypatch.setattr(launch, "COMMAND", changed("handlers.VISITOR_KERNELS = 2"))
    page = write_notebook(tmp_path / "counter.ipynb", COUNTER)
    app = launch.start("http://127.0.0.1:1", tmp_path / "app.log", port=free_port(), page=page)

    def shown() -> Page:
        shown = visit(app.url)
        until = time.monotonic() + 120  # for the app to notice that a connection has ended
        while shown.get_by_text("Too many visitors").count() and time.monotonic() < until:
            shown.wait_for_timeout(500)
            shown.reload()
        expect(button(shown)).to_be_visible(timeout=120_000)
        return shown

    try:
        stays = shown()
        kernels = []
        for _ in range(4):
            leaves = shown()
            kernels.append(psutil.Process(int(button(leaves).inner_text().split()[0])))
            leaves.context.close()
        assert gone(kernels[:-1])
        assert kernels[-1].is_running()  # until somebody needs the place, its page may come back
        button(stays).click()
        expect(button(stays)).to_contain_text(re.compile(r" 2$"))
        shown()
        assert ask(app.url)[0] == 503  # pages that are looked at count
    finally:
        app.stop()


def test_half_sent_requests_to_the_app_end_and_are_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = ("handlers.CONNECTIONS = 10", "pages.REQUEST_SECONDS = 3")
    monkeypatch.setattr(launch, "COMMAND", changed(*changes))
    page = write_notebook(tmp_path / "counter.ipynb", COUNTER)
    app = launch.start("http://127.0.0.1:1", tmp_path / "app.log", port=free_port(), page=page)
    host, port = app.url.removeprefix("http://").rstrip("/").split(":")
    try:
        clients = [socket.create_connection((host, int(port))) for _ in range(20)]
        for client in clients:
            client.settimeout(60)
            with suppress(ConnectionError):
                client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-More: ")
        for client in clients:
            with suppress(ConnectionError):
                assert client.recv(10) == b""
            client.close()
        assert ask(app.url, "HEAD")[0] == 200
    finally:
        app.stop()


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
    expect(notice).to_be_visible(timeout=120_000)
    expect(notice).to_contain_text("Страница уснула.")
    notice.get_by_role("button", name="Обновить").click()
    expect(button(page)).to_contain_text(re.compile(r"^\d+ 0$"))
    expect(notice).to_be_hidden()


def test_a_visitor_whose_waiting_kernel_has_died_is_told_to_reload(visit: Callable[..., Page], tmp_path: Path) -> None:
    page = write_notebook(tmp_path / "counter.ipynb", COUNTER)
    app = launch.start("http://127.0.0.1:1", tmp_path / "app.log", port=free_port(), page=page)
    try:
        wait_for_kernels(app.process.pid)[0].kill()
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
    assert not app.runtime.path.exists()


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


def test_the_app_can_be_shown_at_an_ipv6_address(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET6) as here:
        need(here.connect_ex(("::1", 1)) == errno.ECONNREFUSED, "the address ::1")
    port = free_port()
    app = launch.start("http://127.0.0.1:1", tmp_path / "app.log", host="::1", port=port)
    try:
        assert app.url == f"http://[::1]:{port}/"
        assert ask(app.url, "HEAD")[0] == 200
        assert ask(app.url, "HEAD", Host="photos.example")[0] == 403
    finally:
        app.stop()


def test_an_app_that_is_stopped_while_it_starts_gives_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "COMMAND", (sys.executable, "-c", "import time; time.sleep(60)"))
    stopping = Event()
    Timer(1, stopping.set).start()
    with pytest.raises(FacekitError, match="stopped while it started"):
        launch.start("http://127.0.0.1:1", tmp_path / "app.log", port=free_port(), stopping=stopping)
    assert not [child for child in psutil.Process().children() if "time.sleep(60)" in " ".join(child.cmdline())]


def test_without_voila_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(launch, "find_spec", lambda name: None)
    with pytest.raises(FacekitError, match=r"facekit\[app\]"):
        launch.start("http://127.0.0.1:1", tmp_path / "app.log")


HANG = ("import time", "handlers.AppPage.head = lambda page, path: time.sleep(60)", "pages.GRACE_SECONDS = 2")


@pytest.mark.parametrize(("how", "lines"), [(signal.SIGINT, ()), (signal.SIGKILL, HANG)], ids=["stopped", "killed"])
def test_no_process_is_left_when_the_parent_ends(tmp_path: Path, how: signal.Signals, lines: tuple[str, ...]) -> None:
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from facekit.webapp import launch\n"
        "launch.COMMAND = tuple(sys.argv[3:])\n"
        "app = launch.start('http://127.0.0.1:1', Path(sys.argv[1]), port=int(sys.argv[2]))\n"
        "try:\n"
        "    print(app.url, flush=True)\n"
        "    time.sleep(60)\n"
        "finally:\n"
        "    app.stop()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "app.log"), str(free_port()), *changed(*lines)],
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().decode().strip()
        wait_for_kernels(psutil.Process(parent.pid).children()[0].pid)
        if lines:  # from here on the app answers nothing
            with suppress(TimeoutError):
                urlopen(Request(url, method="HEAD"), timeout=1)
        family = psutil.Process(parent.pid).children(recursive=True)
        os.killpg(parent.pid, how)  # as a terminal does it
    assert gone(family)
