"""What facekit says where it runs: notices are no failures, and nothing of Milvus is shown."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_client.manager import start_new_kernel

import facekit as fk
from facekit.storage.logs import forget_in_logs

if TYPE_CHECKING:
    from facekit.demo.photos import DemoPhotos

NEW_LIBRARY = """
import facekit as fk
from loguru import logger
with fk.open({folder!r}) as library:
    pass
"""
WARN = "logger.patch(lambda record: record.update(name='facekit.x')).warning('take care')"


def test_a_notebook_shows_notices_as_text_and_only_warnings_as_failures(tmp_path: Path) -> None:
    manager, client = start_new_kernel(kernel_name="python3")
    said = {"stdout": "", "stderr": ""}

    def hear(message: dict) -> None:
        if message["msg_type"] == "stream":
            said[message["content"]["name"]] += message["content"]["text"]

    try:
        made = client.execute_interactive(
            NEW_LIBRARY.format(folder=str(tmp_path / "faces")), output_hook=hear, timeout=120
        )
        assert made["content"]["status"] == "ok"
        assert said["stdout"].startswith("New library with ")
        assert said["stderr"] == ""
        client.execute_interactive(WARN, output_hook=hear, timeout=60)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert "take care" in said["stderr"]
    assert "take care" not in said["stdout"]


def test_a_script_says_nothing_on_stdout_that_it_did_not_print(tmp_path: Path) -> None:
    program = NEW_LIBRARY.format(folder=str(tmp_path / "faces"))
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert ran.stdout == ""
    assert [line.split(None, 1)[0] for line in ran.stderr.splitlines()] == ["INFO"]
    assert "New library with " in ran.stderr


_INGEST = """
import os, sys
import facekit as fk
with fk.open(sys.argv[1]) as library:
    library.ingest(*sys.argv[2:], progress=False)
    os.rename(sys.argv[2], sys.argv[2] + "-elsewhere")
    library.relocate(sys.argv[2], sys.argv[2] + "-elsewhere")
    os.rename(sys.argv[2] + "-elsewhere", sys.argv[2])
    for verb in (lambda: library.search(sys.argv[2] + "/broken-one.jpg"), lambda: library.remove("/nowhere/else.jpg")):
        try:
            verb()
        except fk.FacekitError as error:
            print(error)
"""


def test_the_log_names_photos_by_id_and_the_console_by_name(demo_photos: DemoPhotos, tmp_path: Path) -> None:
    photos = Path(shutil.copytree(demo_photos.folder, tmp_path / "photos-of-ann"))
    (photos / "broken-one.jpg").write_bytes(b"\xff\xd8 no photo")
    (photos / "previews").mkdir()
    (photos / "previews" / ".nomedia").touch()
    (photos / "link.jpg").symlink_to(photos / "link.jpg")
    folder = tmp_path / "faces"
    command = [sys.executable, "-c", _INGEST, folder, photos]
    said = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "broken-one.jpg" in said.stderr
    log = (folder / "logs" / "facekit.log").read_text(encoding="utf-8")
    with fk.open(folder) as library:
        frame = library.photos()
        (failed,) = frame[frame["path"].str.endswith("broken-one.jpg")]["photo_id"]
    assert f"photo {failed[:12]}: " in log
    assert "files found" in log
    names = {path.name for path in photos.rglob("*.jpg")} | {photos.name, "previews", "nowhere"}
    assert [name for name in names if name in log] == []


def test_lines_of_what_a_failure_said_are_taken_out_however_they_are_spelt(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    name = "/photos/ann\x1b\udcff.jpg"
    logs = [tmp_path / "logs" / name for name in ("facekit.log", "facekit.2026-01-01_00-00-00_000000.log")]
    for log in logs:
        lines = [
            "kept",
            name,
            r"FileNotFoundError: '/photos/ann\x1b\udcff.jpg'",
            "/photos/ann\\x1b\ufffd.jpg is gone",
            "kept",
        ]
        log.write_bytes("\n".join(lines).encode("utf-8", "backslashreplace"))
    forget_in_logs(tmp_path, [name])
    assert [log.read_text("utf-8") for log in logs] == ["kept\nkept"] * 2
