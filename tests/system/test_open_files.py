"""Where a process may open few files, that is said at once, with the number that is needed."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("resource", reason="Windows has no such limit")


def ingest(limit: str, folder: Path, photo: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "facekit", "-L", str(folder), "ingest", str(photo)]
    shell = ["bash", "-c", f'{limit}; exec "$@"', "bash", *command]
    return subprocess.run(shell, capture_output=True, text=True, timeout=100, check=False)


def test_too_few_files_are_an_error_that_says_how_many_are_needed(tmp_path: Path, astronaut: Path) -> None:
    ended = ingest("ulimit -n 64", tmp_path / "faces", astronaut)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    needed = re.search(r"may have 64 files open at a time; a library needs (\d+) here\. Run `ulimit -n 1024`", line)
    assert needed, line
    assert not (tmp_path / "faces").exists()
    # What is said to be enough is enough.
    assert ingest(f"ulimit -n {needed[1]}", tmp_path / "faces", astronaut).returncode == 0


def test_soft_limit_is_raised_where_the_hard_one_permits(tmp_path: Path) -> None:
    script = """
import resource, sys
import facekit as fk
resource.setrlimit(resource.RLIMIT_NOFILE, (40, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
with fk.open(sys.argv[1]) as library:
    print(library.stats()["faces"], resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 64)
"""
    command = [sys.executable, "-c", script, str(tmp_path / "faces")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    assert ended.stdout.split() == ["0", "True"]


@pytest.mark.parametrize("allowed", [1, 2, 3])
def test_worker_that_cannot_be_started_ends_the_work_with_an_error(allowed: int) -> None:
    script = f"""
import os, resource
from facekit.errors import FacekitError
from facekit.system.workers import WorkerPool
pool = WorkerPool(1)
resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) - 1 + {allowed}, 4096))
try:
    list(pool.imap(abs, [(1,)], window=1))
except FacekitError as error:
    print(error)
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert "worker process can't be started" in ended.stdout
    assert "ulimit -n" in ended.stdout
