"""What a terminal shows of a picture that somebody has to read."""

from __future__ import annotations

import stat
import webbrowser
from base64 import b64encode
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from fake_service import jpeg

from facekit.sources import asking
from facekit.sources.item import Prompt


def test_a_picture_is_opened_from_a_private_file_that_is_gone_afterwards(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(asking, "_somebody_is_there", lambda: True)
    monkeypatch.setattr(asking, "_notebook", lambda: False)
    monkeypatch.setattr(webbrowser, "open", opened.append)

    def typed(_: str) -> str:
        (address,) = opened
        file = Path(unquote(urlsplit(address).path))
        assert file.read_bytes() == jpeg(1)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        return " xzq7 "

    monkeypatch.setattr("builtins.input", typed)
    picture = "data:image/jpeg;base64," + b64encode(jpeg(1)).decode()
    assert asking.ask_here(Prompt("Type the letters.", image=picture, answer=True)) == "xzq7"
    said = capsys.readouterr().err
    assert opened[0] in said
    assert "base64" not in said
    assert not Path(unquote(urlsplit(opened[0]).path)).exists()


def test_an_address_of_a_picture_is_shown_and_not_opened(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(asking, "_somebody_is_there", lambda: True)
    monkeypatch.setattr(asking, "_notebook", lambda: False)
    monkeypatch.setattr(webbrowser, "open", lambda _: pytest.fail("it was opened"))
    assert asking.ask_here(Prompt("Look.", image="file:///etc/passwd")) == ""
    assert "file:///etc/passwd" in capsys.readouterr().err
