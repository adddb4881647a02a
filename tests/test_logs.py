"""What facekit says where it runs: notices are no failures, and nothing of Milvus is shown."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from jupyter_client.manager import start_new_kernel

if TYPE_CHECKING:
    from pathlib import Path

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
