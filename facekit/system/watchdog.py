"""A process that ends another one in which nothing can run any more: its GIL is held by a call that never comes back.

It is a program of its own, started by `facekit.system.waiting`, and imports nothing of facekit. It counts the seconds
in which nothing arrives on its input by its own ticks, and none while the other one is halted: where the machine slept,
or somebody pressed Ctrl-Z, no time has passed. The end of its input ends it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from threading import Event, Thread

END = b"q"
_TICK = 0.5
_QUIET = 2.0  # seconds after which it is looked whether the other one is halted


def main(pid: int, limit: float, said: str) -> None:
    """Wait for the end of a process's work, or end the process ``limit`` seconds after its last sign of life."""
    alive, done = Event(), Event()

    def listen() -> None:
        while (heard := os.read(0, 4096)) and END not in heard:
            alive.set()
        done.set()

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the other one
    Thread(target=listen, daemon=True).start()
    silent = 0.0
    while not done.wait(_TICK) and os.getppid() == pid:
        if alive.is_set() or (silent > _QUIET and _halted(pid)):
            alive.clear()
            silent = 0.0
            continue
        silent += _TICK
        if silent >= limit and not done.is_set():
            text = (
                f"facekit ended process {pid}: a call that never came back held all of Python for {limit:g} s. "
                f"What was done before is kept; {said} says where it stood."
            )
            print(text, file=sys.stderr, flush=True)  # noqa: T201 - a terminal is all that is left
            try:
                with open(said, "a", encoding="utf-8") as file:  # noqa: PTH123 - nothing more is imported
                    file.write(f"\n{text}\n")
            finally:
                os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
            return


def _halted(pid: int) -> bool:
    try:
        ask = ["ps", "-o", "stat=", "-p", str(pid)]
        state = subprocess.run(ask, capture_output=True, check=False).stdout  # noqa: S603 - a number
        return state.strip()[:1] in {b"T", b"t"}
    except OSError:  # Windows has no ps, and halts no process
        return False


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3])
