"""Start and stop the process that shows the app."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import psutil

from facekit.errors import FacekitError
from facekit.system.permissions import RuntimeFolder, make_private_folder, private_opener

if TYPE_CHECKING:
    from collections.abc import Sequence
    from threading import Event

HERE = Path(__file__).parent
COMMAND = (sys.executable, "-m", "facekit.webapp.pages")
START_SECONDS = 60  # Voila's imports take 3 s on two cores; a machine that is busy or has a cold disk takes longer
STOP_SECONDS = 5
# What a kernel prints, tracebacks with this machine's paths among it, goes into the app's log and not to its page.
KERNEL_CONFIG = "c.IPKernelApp.outstream_class = None\n"
UUID_LENGTH = 36
ANYWHERE = {"", "0.0.0.0", "::"}  # noqa: S104 - listened on because the caller says so


def notebook() -> Path:
    """The app's notebook: in the package, or beside it where facekit is installed for development."""
    packaged = HERE / "search.ipynb"
    return packaged if packaged.exists() else HERE.parent.parent / "apps" / "search.ipynb"


@dataclass(frozen=True, slots=True)
class App:
    """The running app: ``url`` is its address on this machine, ``log`` the file of what went wrong."""

    url: str
    log: Path
    process: subprocess.Popen[bytes]
    runtime: RuntimeFolder

    def poll(self) -> int | None:
        """The exit status of an app that ended by itself, else None."""
        return self.process.poll()

    def stop(self) -> None:
        """End the app with all its visitors' kernels."""
        family = self._family()
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_SECONDS)
        for process in {*family, *self._family()}:  # kernels have sessions of their own: no group holds them all
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.kill()
        self.process.wait()
        self.runtime.close()

    def _family(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []


def start(
    service_url: str,
    log: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8866,
    proxies: Sequence[str] = (),
    page: Path | None = None,
    stopping: Event | None = None,
) -> App:
    """Show the app, and return when it answers.

    Parameters
    ----------
    service_url : str
        Address of the process that owns the library; the app's kernels find it in ``FACEKIT_SERVICE``. They get none
        of this process's other ``FACEKIT_`` variables: a visitor must not act with the owner's key.
    log : Path
        File to add to.
    host, port : str, int
        Where to listen. On a host of this machine alone, the app answers only to that machine's own names.
    proxies : sequence of str
        Addresses and networks of the proxies in front, whose word on where a visitor comes from is believed.
    page : Path, optional
        Another notebook than the app's.
    stopping : threading.Event, optional
        Gives up as soon as it is set.

    Raises
    ------
    FacekitError
        If Voila is not installed, the port is taken, `stopping` was set, or Voila did not start: then with the end of
        its log.
    """
    if not (find_spec("voila") and find_spec("anywidget")):
        message = "The web app needs packages that are not installed."
        raise FacekitError(message, 'Install them with pip install "facekit[app]".')
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        socket.create_server(address[:2], family=family).close()
    except OSError as error:
        message = f"The web app can't listen on {host}:{port}: {error.strerror}."
        raise FacekitError(message, "Choose another port, or stop what uses this one.") from error
    # A folder with nothing in it but the notebook: whatever Voila may serve of its root folder, that is all there is.
    # And the sockets of the kernels, which show everything of a visitor and so are for nobody else on this machine.
    runtime = RuntimeFolder(len("voila_12345678/kernel--ipc-10") + UUID_LENGTH)  # as Voila and Jupyter name them
    folder = runtime.path
    (folder / "app").mkdir()
    (folder / "sessions").mkdir()
    profile = folder / "ipython" / "profile_default"
    profile.mkdir(parents=True)
    (profile / "ipython_kernel_config.py").write_text(KERNEL_CONFIG, encoding="utf-8")
    shutil.copyfile(page or notebook(), folder / "app" / "search.ipynb")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FACEKIT_")}
    environment["FACEKIT_SERVICE"] = service_url
    environment["FACEKIT_APP_LOG"] = str(log.absolute())
    environment["FACEKIT_APP_SESSIONS"] = str(folder / "sessions")
    environment["IPYTHONDIR"] = str(folder / "ipython")
    # Voila looks for templates in Jupyter's folders; ours lie in the package.
    environment["JUPYTER_PATH"] = os.pathsep.join(filter(None, [str(HERE), os.environ.get("JUPYTER_PATH", "")]))
    make_private_folder(log.parent)
    with open(log, "ab", opener=private_opener) as output:
        began = output.tell()
        process = subprocess.Popen(  # noqa: S603 - our own command
            [*COMMAND, host, str(port), str(folder), str(os.getpid()), *proxies],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for the parent, which stops the app in good order
        )
    name = "localhost" if host in ANYWHERE else f"[{host}]" if ":" in host else host
    app = App(f"http://{name}:{port}/", log, process, runtime)
    try:
        _wait(app, began, stopping)
    except BaseException:
        app.stop()
        raise
    return app


def _wait(app: App, began: int, stopping: Event | None) -> None:
    """Wait until the app serves its icon; a page would start a kernel."""
    web = build_opener(ProxyHandler({}))
    deadline = time.monotonic() + START_SECONDS
    while app.poll() is None and time.monotonic() < deadline:
        if stopping and stopping.is_set():
            message = "The web app was stopped while it started."
            raise FacekitError(message)
        with suppress(URLError, OSError), web.open(f"{app.url}voila/templates/facekit/static/icon.svg", timeout=1):
            return
        time.sleep(0.1)
    with app.log.open("rb") as file:
        file.seek(began)
        end = file.read().decode("utf-8", "replace").strip().splitlines()[-5:]
    message = "The web app did not start."
    raise FacekitError(message, "\n".join([f"Its log {app.log} ends with:", *end]))
