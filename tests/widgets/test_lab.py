"""The widgets in JupyterLab itself, opened in a browser: shown, selected, and left alone by its shortcuts."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

pytest.importorskip("jupyterlab")
pytest.importorskip("playwright")

from browser import face_seen, overlap, place
from playwright.sync_api import Browser, Locator, Page, expect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from facekit.demo.photos import DemoPhotos
    from facekit.library.base import Library

TOKEN = "for this test"
PATIENCE = 60_000  # ms: JupyterLab's first page takes ten seconds on two cores
CELLS = (
    "import facekit as fk\n\nlib = fk.open('faces')\npanel = lib.show()\npanel",
    "chosen = panel.gallery.gallery.selected\nprint('chosen:', [lib.photo(key).path.split('/')[-1] for key in chosen])",
    "hits = lib.search('probe.jpg')\nhits.show()",
    "from facekit import plots\n\nlib.people.cluster()\nplots.people_map(lib)",
)
ON_A_DOT = """plot => {
  const {xaxis, yaxis} = plot._fullLayout;
  const dots = plot._fullData.at(-1);
  const {left, top} = plot.getBoundingClientRect();
  return [left + xaxis._offset + xaxis.d2p(dots.x[0]), top + yaxis._offset + yaxis.d2p(dots.y[0])];
}"""
SETTINGS = {
    "themes": {"theme": "JupyterLab Dark"},
    "notification": {"fetchNews": "false", "checkForUpdates": False},  # both would ask JupyterLab's own hosts
}


def write_notebook(file: Path) -> None:
    cells = [
        {"cell_type": "code", "id": f"c{i}", "metadata": {}, "execution_count": None, "outputs": [], "source": source}
        for i, source in enumerate(CELLS)
    ]
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    document = {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    file.write_text(json.dumps(document), encoding="utf-8")


@pytest.fixture
def lab(demo_folder: Path, demo_photos: DemoPhotos, tmp_path: Path) -> Iterator[str]:
    """JupyterLab, dark, in a folder with a notebook, a library and a probe; nothing of this user's settings counts."""
    work = tmp_path / "work"
    shutil.copytree(demo_folder, work / "faces")
    shutil.copy(demo_photos.probe, work / "probe.jpg")
    write_notebook(work / "photos.ipynb")
    settings = tmp_path / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    for name, values in SETTINGS.items():
        (settings / f"{name}.jupyterlab-settings").write_text(json.dumps(values))
    environment = os.environ | {
        "JUPYTERLAB_SETTINGS_DIR": str(tmp_path / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(tmp_path / "workspaces"),
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {"ip": "127.0.0.1", "port": port, "root_dir": work, "allow_root": True}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--IdentityProvider.token={TOKEN}"]
    command += [f"--ServerApp.{name}={value}" for name, value in options.items()]
    with (tmp_path / "lab.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}/"
        wait_for(f"{url}api", process)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < until:
        with suppress(URLError, OSError), urlopen(url, timeout=5):
            return
        time.sleep(0.2)
    pytest.fail("JupyterLab does not start")


def run_cell(page: Page, number: int) -> Locator:
    """Run a cell; its output."""
    cell = page.locator(".jp-CodeCell").nth(number)
    cell.locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    expect(cell.locator(".jp-InputPrompt")).not_to_have_text("[ ]:")
    return cell.locator(".jp-OutputArea")


def test_the_gallery_lives_in_jupyterlab(lab: str, chromium: Browser, demo_library: Library) -> None:
    page = chromium.new_page(viewport={"width": 1280, "height": 1600})
    page.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    asked: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{lab}lab/tree/photos.ipynb?token={TOKEN}")
    # Before the kernel is there, JupyterLab sometimes takes a key for nothing.
    expect(page.locator("#jp-main-statusbar")).to_contain_text("Idle")
    shown = run_cell(page, 0)
    tiles = shown.locator(".fk-tile:visible")
    expect(tiles).to_have_count(25)
    tile = tiles.filter(has_text="hopper.jpg")
    expect(tile.locator("rect.fk-box")).to_have_count(1)
    picture = tile.locator(".fk-picture")
    assert overlap(place(tile.locator("rect.fk-box")), face_seen(page, picture, demo_library)) > 0.6
    expect(shown.locator(".fk-gallery")).to_have_attribute("data-fk-theme", "dark")
    background = "node => getComputedStyle(node).backgroundColor"
    assert shown.locator(".fk-gallery").evaluate(background) == "rgb(23, 24, 28)"

    tile.click()
    expect(tile).to_have_attribute("aria-selected", "true")
    for key in ("d", "d", "a", "x", "ArrowRight", "ArrowUp", "ArrowUp", "ArrowDown"):
        page.keyboard.press(key)
    assert page.evaluate("Boolean(document.activeElement.closest('.fk-tile'))")
    assert page.locator(".jp-CodeCell").count() == len(CELLS)
    expect(run_cell(page, 1)).to_contain_text("chosen: ['hopper.jpg']")

    hits = run_cell(page, 2)
    expect(hits.locator(".fk-tile")).to_have_count(14)
    expect(hits.locator(".fk-count")).to_have_text("14 photos")

    map_of_faces = run_cell(page, 3)
    expect(map_of_faces.get_by_text("to see the face")).to_be_visible(
        timeout=3 * PATIENCE
    )  # umap-learn compiles itself
    assert map_of_faces.locator(".imagelayer image").count() == 0
    place_of_a_face = map_of_faces.locator(".js-plotly-plot").evaluate(ON_A_DOT)
    page.mouse.move(*place_of_a_face)
    expect(map_of_faces.locator(".hovertext")).to_contain_text("unnamed")
    expect(map_of_faces.locator(".imagelayer image")).to_have_attribute("href", re.compile("^data:image/jpeg;base64,"))
    expect(map_of_faces.get_by_text("to see the face")).to_have_count(0)
    assert [url for url in asked if urlsplit(url).netloc not in {urlsplit(lab).netloc, ""}] == []
    assert errors == []
    page.close()
