"""Widgets in a real browser, without Jupyter: a stub model in the page talks with the real widget in this process.

Chromium is Debian's, and finds nothing but the page: what it asks from anywhere else fails the test, and so does
whatever it says on its console about an error.
"""

from __future__ import annotations

import base64
import json
from collections import deque
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Locator, Page, Route

    from facekit.library.base import Library
    from facekit.widgets.base import Widget

Box = tuple[float, float, float, float]

CHROMIUM = "/usr/bin/chromium"
PATIENCE = 60_000  # ms, for what takes a blink of an eye where nothing else is going on
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",  # a camera that shows a test card,
    "--use-fake-ui-for-media-stream",  # and a person who allows it
]
ADDRESS = "http://localhost:1/"  # nothing listens there, the page is handed out below; but the origin is a secure one

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>facekit</title><style>body { margin: 0; }</style></head>
<body><main id="host"></main><script type="module" src="stub.js"></script></body></html>"""

# The part of Backbone's model that anywidget promises: https://anywidget.dev/en/afm/
STUB = """
import widget from "./widget.js";

function revive(key, value) {
  if (value && typeof value === "object" && "$bytes" in value) {
    return new DataView(Uint8Array.from(atob(value.$bytes), (letter) => letter.charCodeAt(0)).buffer);
  }
  return value;
}

function base64(buffer) {
  return new Promise((done) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.readAsDataURL(new Blob([buffer]));
  });
}

class Model {
  constructor(state) {
    this.state = state;
    this.changed = {};
    this.listeners = {};
    this.queue = Promise.resolve();
  }
  get(name) { return this.state[name]; }
  set(name, value) {
    this.changed[name] = value;
    this.apply({ [name]: value });
  }
  apply(state) {
    const names = Object.keys(state).filter((name) => JSON.stringify(state[name]) !== JSON.stringify(this.state[name])
      || state[name] instanceof DataView || Array.isArray(state[name]));
    Object.assign(this.state, state);
    for (const name of names) (this.listeners[`change:${name}`] ?? []).slice().forEach((listener) => listener());
  }
  save_changes() {
    const state = this.changed;
    this.changed = {};
    this.tell({ method: "update", state });
  }
  send(content, callbacks, buffers = []) { this.tell({ method: "custom", content }, buffers); }
  tell(message, buffers = []) {
    this.queue = this.queue.then(async () => {
      const text = JSON.stringify({ ...message, buffers: await Promise.all(buffers.map(base64)) });
      this.take(await window.toPython(text));
    });
  }
  take(text) {
    for (const message of JSON.parse(text, revive)) {
      if (message.method === "update") this.apply(message.state);
      else (this.listeners["msg:custom"] ?? []).forEach((listener) => listener(message.content, message.buffers));
    }
  }
  on(name, listener) { (this.listeners[name] ??= []).push(listener); }
  off(name, listener) { this.listeners[name] = (this.listeners[name] ?? []).filter((one) => one !== listener); }
}

const text = await window.toPython(JSON.stringify({ method: "state" }));
const model = new Model(JSON.parse(text, revive));
const ending = new AbortController();
Object.assign(window, { model, ending });
widget.render({ model, el: document.getElementById("host"), signal: ending.signal });
document.body.dataset.ready = "true";
for (;;) { // what the widget says of its own accord
  await new Promise((done) => setTimeout(done, 50));
  model.tell({ method: "poll" });
  await model.queue;
}
"""


def encoded(value: Any) -> Any:
    """JSON can't carry bytes; see `revive` in the stub."""
    if isinstance(value, bytes | memoryview):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {key: encoded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encoded(item) for item in value]
    return value


class Wire:
    """What Jupyter's comm is between a widget and its model in the page."""

    def __init__(self, widget: Widget) -> None:
        self._widget = widget
        self._waiting: deque[dict[str, Any]] = deque()  # a widget may speak from another thread
        widget._send = self._said

    def _said(self, message: dict[str, Any], buffers: list[Any] | None = None) -> None:
        if message["method"] == "update":
            for path, buffer in zip(message["buffer_paths"], buffers or [], strict=True):
                place = message["state"]
                for key in path[:-1]:
                    place = place[key]
                place[path[-1]] = bytes(buffer)
        else:
            message = message | {"buffers": list(buffers or [])}
        self._waiting.append(message)

    def answer(self, text: str) -> str:
        """Take a message from the page; the answer is all that the widget has said since the last one."""
        message = json.loads(text)
        if message["method"] == "state":
            self._waiting.clear()
            state = self._widget.get_state()
            return json.dumps(encoded({name: value for name, value in state.items() if name not in {"_esm", "_css"}}))
        if message["method"] == "update":
            self._widget.set_state(message["state"])
        elif message["method"] == "custom":
            buffers = [memoryview(base64.b64decode(buffer)) for buffer in message["buffers"]]
            self._widget._handle_custom_msg(message["content"], buffers)
        said = []
        while self._waiting:
            said.append(encoded(self._waiting.popleft()))
        return json.dumps(said)


# One browser a module, not a session: Playwright's loop makes `asyncio.run` fail in this thread as long as it lives.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, headless."""
    from conftest import need  # which imports this module

    need(Path(CHROMIUM).exists(), f"install {CHROMIUM}")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def show(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Show a widget alone on a page; ``theme``, ``width``, ``height``, ``touch`` and ``locale`` are the visitor's."""
    contexts = []
    problems: list[str] = []

    def open_page(
        widget: Widget,
        *,
        theme: str = "light",
        width: int = 1024,
        height: int = 800,
        touch: bool = False,
        locale: str = "en-US",
    ) -> Page:
        files = {
            "": ("text/html", PAGE),
            "stub.js": ("text/javascript", STUB),
            "widget.js": ("text/javascript", str(widget._esm)),
        }

        def hand_out(route: Route) -> None:
            address = route.request.url
            name = address.removeprefix(ADDRESS)
            if name in files:
                kind, body = files[name]
                route.fulfill(content_type=f"{kind}; charset=utf-8", body=body)
            elif name == "favicon.ico":
                route.fulfill(status=204)
            else:
                problems.append(f"asked for {address}")
                route.abort()

        context = chromium.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if theme == "dark" else "light",
            has_touch=touch,
            locale=locale,
            permissions=["camera"],
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: problems.append(f"error: {error}"))
        page.on("console", lambda said: problems.append(said.text) if said.type in {"error", "warning"} else None)
        page.route("**/*", hand_out)
        page.expose_function("toPython", Wire(widget).answer)
        page.goto(ADDRESS)
        page.add_style_tag(content=str(widget._css))
        page.wait_for_selector("body[data-ready]")
        return page

    yield open_page
    for context in contexts:
        with suppress(Exception):  # a page that the test has closed
            context.close()
    assert not problems


def until(page: Page, true: Callable[[], object]) -> None:
    """Let the page and the widget talk until something is true."""
    end = monotonic() + PATIENCE / 1000
    while not true():
        assert monotonic() < end, "it never came true"
        page.wait_for_timeout(20)


def violations(page: Page, *, whole: bool = False) -> list[str]:
    """What axe-core finds on the page that is serious or critical; ``whole`` also of what only a whole page has."""
    from axe_playwright_python.sync_playwright import Axe

    rules = {name: {"enabled": whole} for name in ("bypass", "page-has-heading-one")}
    found = Axe().run(page, options={"resultTypes": ["violations"], "rules": rules}).response["violations"]
    return [
        f"{one['id']}: {node['html']} {node['failureSummary']}"
        for one in found
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    wide: int = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return wide


def place(shape: Locator) -> Box:
    """Where an element is seen, also a shape within an SVG; a line's width does not count."""
    x, y, width, height = shape.evaluate(
        "node => { const box = node.getBoundingClientRect(); return [box.x, box.y, box.width, box.height]; }"
    )
    return x, y, width, height


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    wide = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    high = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    common = max(0.0, wide) * max(0.0, high)
    return common / (one[2] * one[3] + other[2] * other[3] - common)


def face_seen(page: Page, picture: Locator, library: Library) -> Box:
    """Where a detector sees the largest face in what the browser paints, in pixels of the page."""
    hidden = page.add_style_tag(content=".fk-boxes, .fk-tag, .fk-mark { visibility: hidden !important }")
    face = library.faces_in(picture.screenshot())[0].box
    hidden.evaluate("node => node.remove()")
    x, y, width, height = place(picture)
    return x + face[0] * width, y + face[1] * height, face[2] * width, face[3] * height
