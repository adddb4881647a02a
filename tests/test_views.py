"""What `show()` does where the widgets' packages are not installed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

import facekit as fk

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("package", ["ipywidgets", "anywidget", "traitlets"])
def test_show_says_what_to_install(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.split(".")[0] in {"ipywidgets", "anywidget", "traitlets"} or name.startswith("facekit.widgets"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with fk.open(tmp_path / "faces") as library:
        for shown in (library, library.people, fk.Hits((), (), 10, 0.4, 0, library)):
            with pytest.raises(fk.FacekitError, match=f"the package {package}, which is not installed") as caught:
                shown.show()
            assert "facekit[notebook]" in caught.value.remedy
