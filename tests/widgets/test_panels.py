"""Panels and the app over a real library: what they are put together from works together."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from facekit.errors import FacekitError, ServiceError
from facekit.widgets import IngestPanel, LibraryPanel, SearchApp, SearchPanel
from facekit.widgets.panel import parts
from facekit.widgets.panels import BrowsePanel
from facekit.widgets.sessions import TokenStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ipywidgets import DOMWidget

    from facekit.demo.photos import DemoPhotos
    from facekit.library.base import Library
    from facekit.widgets import Uploader
    from facekit.widgets.base import Widget


def upload(uploader: Uploader, *pictures: Path) -> None:
    """What the browser sends for a picture."""
    for number, picture in enumerate(pictures):
        content = {"kind": "picture", "id": f"{picture.name} {number}", "name": picture.name}
        uploader._handle_custom_msg(content, [memoryview(picture.read_bytes())])


def press(widget: Widget, **content: Any) -> None:
    widget._handle_custom_msg(content, [])


def press_search(panel: SearchPanel) -> None:
    press(panel.form, kind="search", values={})


def names(panel: SearchPanel | BrowsePanel) -> list[str]:
    return sorted(tile["label"] for tile in panel.gallery.tiles)


def everything(box: DOMWidget) -> list[DOMWidget]:
    return [box, *(one for child in getattr(box, "children", ()) for one in everything(child))]


def test_a_search_finds_the_demos_person(demo_library: Library, demo_photos: DemoPhotos) -> None:
    panel = SearchPanel(demo_library)
    assert not panel.form.ready
    assert panel.gallery.layout.display == "none"
    upload(panel.uploader, demo_photos.probe)
    assert panel.form.ready
    press_search(panel)
    assert panel.form.problem == {}
    assert panel.hits is not None
    expected = sorted(path.rpartition("/")[2] for path in demo_photos.expected)
    assert names(panel) == expected
    assert panel.form.found == len(expected)
    assert panel.gallery.layout.display is None
    assert panel.gallery.tiles[0]["similarity"] == panel.hits[0].similarity


def test_filters_narrow_the_hits(demo_library: Library, grace_hopper: Path) -> None:
    panel = SearchPanel(demo_library)
    upload(panel.uploader, grace_hopper)
    folder = next(one["folder"] for one in panel.form.folders if one["name"] == "backup/")
    press_search(panel)
    everywhere = panel.form.found
    press(panel.form, kind="search", values={"folder": folder})
    assert 0 < panel.form.found < everywhere
    assert names(panel) == ["hopper.jpg"]
    press(panel.form, kind="search", values={"folder": "", "after": "2100-01-01", "top_k": 200})
    assert panel.hits is not None
    assert (len(panel.hits), panel.hits.top_k, panel.form.found) == (0, 200, 0)
    assert panel.gallery.layout.display == "none"


def test_other_pictures_are_searched_for_at_once_and_none_clears_the_hits(
    demo_library: Library,
    demo_photos: DemoPhotos,
    grace_hopper: Path,
) -> None:
    panel = SearchPanel(demo_library)
    upload(panel.uploader, demo_photos.probe)
    press_search(panel)
    collins = names(panel)
    press(panel.uploader, kind="remove", id=f"{demo_photos.probe.name} 0")
    assert (panel.hits, panel.form.found, panel.form.ready) == (None, -1, False)
    upload(panel.uploader, grace_hopper)
    press_search(panel)
    assert names(panel) != collins
    first = panel.hits
    upload(panel.uploader, demo_photos.probe)
    assert panel.hits is not first


def test_a_search_that_fails_says_so_in_the_form(
    demo_library: Library,
    demo_photos: DemoPhotos,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    panel = SearchPanel(demo_library)
    upload(panel.uploader, demo_photos.probe)

    def fail(*_arguments: Any, **_options: Any) -> None:
        message = "something with a /path in it"
        raise RuntimeError(message)

    monkeypatch.setattr(type(demo_library), "search", fail)
    press_search(panel)
    assert panel.form.problem["key"] == "error.internal"
    assert panel.form.problem["values"]["reference"]
    assert "path" not in str(panel.form.problem)
    assert not panel.form.busy


def test_categories_show_their_photos_and_numbers(
    demo_library: Library,
    demo_photos: DemoPhotos,
    tmp_path: Path,
) -> None:
    broken = tmp_path / "more" / "broken.jpg"
    broken.parent.mkdir()
    broken.write_bytes(b"\xff\xd8\xff\xe0 nothing more")
    (tmp_path / "more" / "empty.jpg").write_bytes(b"")
    (tmp_path / "more" / "words.jpg").write_text("not a picture")
    panel = LibraryPanel(demo_library)
    before = panel.gallery.choice.counts
    assert before["all"] == sum(demo_library.stats()["photos"].values())
    assert (before["failed"], before["missing"]) == (0, 0)
    panel.ingest.form.start(str(broken.parent))
    panel.ingest.form.wait()
    assert panel.ingest.form.report["failures"] == 3
    assert {one["status"] for one in panel.ingest.form.report["failed"]} == {"corrupt", "unsupported"}
    choice = panel.gallery.choice
    assert choice.counts == before | {"all": before["all"] + 3, "failed": 3}  # the end of the ingest was told
    choice.chosen = "failed"
    assert names(panel.gallery) == ["broken.jpg", "empty.jpg", "words.jpg"]
    assert all(tile["note"] for tile in panel.gallery.gallery.tiles)
    panel.gallery.gallery.page_size = 2
    panel.gallery.gallery.page = 1
    assert len(panel.gallery.gallery.tiles) == 1
    choice.chosen = "no_face"
    assert panel.gallery.gallery.total == choice.counts["no_face"] > 0
    choice.chosen = "faces"
    assert panel.gallery.gallery.kind == "faces"


def test_pages_are_made_when_they_are_first_shown(demo_library: Library) -> None:
    panel = demo_library.show()
    assert isinstance(panel, LibraryPanel)
    assert [type(one) for one in panel.children[1:]] == [BrowsePanel]
    panel.bar.chosen = "ingest"
    assert [type(one) for one in panel.children[1:]] == [BrowsePanel, IngestPanel]
    assert [one.layout.display for one in panel.children[1:]] == ["none", None]
    panel.bar.chosen = "gallery"
    assert panel.gallery.layout.display is None


def test_all_parts_speak_the_language_of_the_bar(demo_library: Library) -> None:
    panel = LibraryPanel(demo_library)
    panel.bar.language = "ru"
    assert panel.search.form.language == "ru"
    assert {part.language for part in parts(panel)} == {"ru"}
    panel.bar.language = "en"
    assert {part.language for part in parts(panel)} == {"en"}


def test_without_a_front_end_a_panel_is_the_library_in_words(demo_library: Library, demo_photos: DemoPhotos) -> None:
    panel = SearchPanel(demo_library)
    bundle = panel._repr_mimebundle_()
    assert bundle is not None
    assert bundle["text/html"] == demo_library._repr_html_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    upload(panel.uploader, demo_photos.probe)
    press_search(panel)
    bundle = panel._repr_mimebundle_()
    assert bundle is not None
    assert "data:image/jpeg" in bundle["text/html"]


def test_no_output_widget_is_anywhere(demo_library: Library) -> None:
    app = SearchApp(demo_library)
    assert app.panel is not None
    for name in app.bar.names:
        app.bar.chosen = name
    assert {one._model_name for one in everything(app)} == {"VBoxModel", "AnyModel"}


# -- the app -----------------------------------------------------------------------------------------------------------


class Service:
    """A library behind a service with accounts."""

    accounts = True

    @property
    def session(self) -> Service:
        """It is its own."""
        return self

    def __init__(self, library: Library, role: str) -> None:
        self._library = library
        self.identity = SimpleNamespace(name="anna", role=role, scopes=[])
        self.expired = False
        self.signed_out = False
        self.calls: list[str] = []

    device_token = "device"

    def sign_in(self, _name: str, password: str, _device: str = "") -> str:
        if password != "right":
            self._refuse()
        return "token"

    def resume(self, _token: str) -> str:
        return "token 2"

    def sign_out(self) -> None:
        self.signed_out = True

    def _refuse(self) -> None:
        message = "Who are you?"
        raise ServiceError(message, status=401)

    def __getattr__(self, name: str) -> Any:
        self.calls.append(name)
        if self.expired:
            self._refuse()
        return getattr(self._library, name)


@pytest.fixture
def signed_in(demo_library: Library) -> Callable[[str], tuple[SearchApp, Service]]:
    def enter(role: str) -> tuple[SearchApp, Service]:
        service: Any = Service(demo_library, role)
        app = SearchApp(service)
        assert app.signin is not None
        press(app.signin, kind="sign_in", name="anna", password="right")
        return app, service

    return enter


def test_nothing_is_loaded_before_somebody_signs_in(demo_library: Library) -> None:
    service: Any = Service(demo_library, "viewer")
    app = SearchApp(service)
    assert app.signin is not None
    assert app.children == (app.bar, app.signin)
    press(app.signin, kind="sign_in", name="anna", password="wrong")
    assert app.signin.notice == "signin.wrong"
    assert app.panel is None
    assert service.calls == []
    press(app.signin, kind="sign_in", name="anna", password="right")
    assert app.panel is not None
    assert app.signin.layout.display == "none"
    assert service.calls


@pytest.mark.parametrize(
    ("role", "pages"),
    [
        ("viewer", ["search", "gallery", "people"]),
        ("editor", ["search", "gallery", "people", "ingest", "sources"]),
        ("admin", ["search", "gallery", "people", "ingest", "sources"]),
    ],
)
def test_each_role_gets_its_pages(
    signed_in: Callable[[str], tuple[SearchApp, Service]],
    role: str,
    pages: list[str],
) -> None:
    app, _ = signed_in(role)
    assert (app.bar.names, app.bar.chosen) == (pages, "search")
    assert (app.bar.user, app.bar.role) == ("anna", role)


def test_signing_out_leaves_nothing_behind(signed_in: Callable[[str], tuple[SearchApp, Service]]) -> None:
    app, service = signed_in("editor")
    assert app.panel is not None
    old = app.panel.search.uploader
    press(app.bar, kind="sign_out")
    assert service.signed_out
    assert app.signin is not None
    assert app.children == (app.bar, app.signin)
    assert (app.bar.names, app.bar.user, app.signin.notice) == ([], "", "")
    assert old.comm is None  # closed: what it showed is gone from the page
    press(app.signin, kind="sign_in", name="anna", password="right")
    assert app.bar.chosen == "search"
    app.bar.chosen = "gallery"
    assert [type(one) for one in app.panel.children] == [SearchPanel, BrowsePanel]


def test_a_session_that_ends_leads_back_to_the_form(
    signed_in: Callable[[str], tuple[SearchApp, Service]],
    demo_photos: DemoPhotos,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FACEKIT_APP_SESSIONS", str(tmp_path))
    app, service = signed_in("viewer")
    assert app.panel is not None
    upload(app.panel.search.uploader, demo_photos.probe)
    service.expired = True
    press_search(app.panel.search)
    assert app.panel is None
    assert app.signin is not None
    assert (app.signin.notice, app.signin.layout.display) == ("error.expired", None)
    service.expired = False
    TokenStore(tmp_path).keep("another tab's", "kept")
    press(app.signin, kind="resume", key="another tab's")
    assert TokenStore(tmp_path).token("another tab's") == "token 2"
    assert app.signin.notice == ""
    assert isinstance(app.panel, LibraryPanel)
    service.expired = True
    app.bar.chosen = "gallery"  # a page that has to be made first
    assert app.panel is None
    assert app.bar.problem == {}


def test_a_session_that_ends_while_a_picture_is_sent_leads_back_to_the_form(
    signed_in: Callable[[str], tuple[SearchApp, Service]],
    demo_photos: DemoPhotos,
) -> None:
    app, service = signed_in("viewer")
    assert app.panel is not None
    service.expired = True
    upload(app.panel.search.uploader, demo_photos.probe)
    assert app.panel is None
    assert app.signin is not None
    assert app.signin.notice == "error.expired"


def test_a_service_that_does_not_answer_is_one_line_on_the_page() -> None:
    class Down:
        @property
        def session(self) -> Any:
            message = "The service does not answer."
            raise ServiceError(message, "Start it again.")

    down: Any = Down()
    app = SearchApp(down)
    assert app.bar.problem["key"] == "error.no_answer"
    assert app.children == (app.bar,)


def test_the_app_says_where_it_looks_for_its_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FACEKIT_SERVICE", raising=False)
    with pytest.raises(FacekitError, match="FACEKIT_SERVICE"):
        SearchApp.of_service()


def test_the_service_is_asked_only_when_somebody_sees_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    # Voila runs the notebook before its visitor comes: what was true then need not be true any more.
    monkeypatch.setenv("FACEKIT_SERVICE", "http://127.0.0.1:9")
    app = SearchApp.of_service()
    assert app.bar.problem == {}
    press(app.bar, kind="shown")
    assert app.bar.problem["key"] == "error.no_answer"


def test_importing_the_app_loads_no_models_and_no_tables() -> None:
    heavy = "{'cv2', 'onnx', 'onnxruntime', 'pandas', 'pymilvus', 'duckdb', 'sqlalchemy', 'sklearn'}"
    code = f"import sys; from facekit.widgets import SearchApp; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == "[]"
