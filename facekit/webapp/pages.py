"""The process that shows the app's notebook: Voila with one page and nothing beside it.

Run by `facekit.webapp.launch` as ``python -m facekit.webapp.pages HOST PORT FOLDER PARENT PROXY...``.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

import psutil
from tornado.ioloop import IOLoop
from traitlets.config import Config
from voila.app import Voila

from facekit.webapp.handlers import (
    AppPage,
    KernelSocket,
    LimitedServer,
    NotFound,
    OtherNames,
    Refused,
    TemplateFile,
    is_this_machine,
)
from facekit.webapp.kernels import Kernels

# Everything comes from here: a photo must not leave, nor tell anyone that it is looked at. Voila's own JavaScript
# needs the two unsafe ones, and widgets' modules and pictures are blobs.
CONTENT_SECURITY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' blob: data:; media-src 'self' blob:; font-src 'self' data:; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
)
# An upload is one message. Over Tornado's 10 MiB the connection drops without a word, and the uploader sends what a
# browser can't scale down, a HEIC, as it is: up to 8 MiB. Twice that leaves room.
MESSAGE_BYTES = 16 * 2**20
CHECK_SECONDS = 60  # a kernel that no page has connected to in this time is ended; a slow phone loads the page in 30 s
CULL_SECONDS = 600  # a kernel nobody is connected to; long enough for a phone that was put away for a moment
REQUEST_SECONDS = 20  # for a request to arrive, as Apache's mod_reqtimeout gives; the page sends no large ones
HEADER_BYTES = 32 * 2**10
BODY_BYTES = 2**20
CELL_SECONDS = 60  # the notebook only builds the page; what is slow runs in the service
GRACE_SECONDS = 5  # as long as a parent that lives gives the app to end by itself
# The routes of Voila that the page uses. Not /voila/files, which serves files without asking who wants them.
ROUTES = ("/api/kernels/", "/voila/templates/", "/voila/static/", "/voila/labextensions/", "/voila/api/shutdown/")
# Ours are for two of them.
OURS = {handler.__base__: handler for handler in (KernelSocket, TemplateFile)}
# The widgets' manager and the two that bring the widgets themselves.
EXTENSIONS = ["@voila-dashboards/widgets-manager8", "@jupyter-widgets/jupyterlab-manager", "anywidget"]


def settings(host: str, port: int, folder: Path) -> Config:
    """What Voila is told; nothing else counts, neither its own configuration files nor a visitor's address line."""
    return Config(
        {
            "Voila": {
                "ip": host,
                "port": port,
                "port_retries": 0,  # the address was printed, or stands in a proxy's configuration
                "open_browser": False,
                "log_level": logging.WARNING,
                "root_dir": str(folder / "app"),
                "connection_dir_root": str(folder),
                "config_file_paths": [],
                "tornado_settings": {
                    "headers": {"Content-Security-Policy": CONTENT_SECURITY, "Referrer-Policy": "same-origin"},
                    "websocket_max_message_size": MESSAGE_BYTES,
                },
            },
            "VoilaConfiguration": {
                "template": "facekit",
                "allow_template_override": "NO",
                "allow_theme_override": "NO",
                "strip_sources": True,
                "show_tracebacks": False,
                "file_allowlist": [],
                "extension_allowlist": EXTENSIONS,
                # A kernel waits with the notebook run, which takes a second off the way to the first widget. The
                # notebook must not ask for anything that can change before its visitor comes.
                "preheat_kernel": True,
                "multi_kernel_manager_class": Kernels,
            },
            # Over TCP everybody on this machine could listen to what a kernel says. ZeroMQ has no other way on Windows.
            "KernelManager": {"transport": "tcp" if os.name == "nt" else "ipc"},
            "VoilaExecutor": {"timeout": CELL_SECONDS},
            "MappingKernelManager": {
                "cull_interval": CHECK_SECONDS,
                "cull_idle_timeout": CULL_SECONDS,
                "cull_connected": False,
            },
            # A restarted kernel knows nothing of the widgets on the page; a dead one is noticed, and the page says so.
            "KernelRestarter": {"restart_limit": 0},
        }
    )


class OnePageVoila(Voila):  # type: ignore[misc]
    """Voila with one page."""

    def init_handlers(self) -> list[Any]:
        """The page at ``/``, what it loads, and "not found" for everything else; all of it where it may be seen."""
        *handlers, (_, _, page) = super().init_handlers()
        kept = [
            (route, OURS.get(handler, handler), *how) for route, handler, *how in handlers if route.startswith(ROUTES)
        ]
        missing = {"voila_configuration": self.voila_configuration}
        guard = [(OtherNames(), Refused)] if is_this_machine(self.ip) else []
        return [*guard, *kept, ("/()", AppPage, page), ("/.*", NotFound, missing)]

    def listen(self) -> None:
        """Listen, with limits on what a client may leave unsaid, and on how many connections it has."""

        def limited(port: int, address: str) -> None:
            how = {"idle_connection_timeout": REQUEST_SECONDS, "body_timeout": REQUEST_SECONDS}
            LimitedServer(self.app, **how, max_header_size=HEADER_BYTES, max_body_size=BODY_BYTES).listen(port, address)

        self.app.listen = limited
        super().listen()


def watch(parent: int, loop: IOLoop, folder: Path) -> None:
    """End the app when the process that started it is gone: a killed parent can't tell.

    A thread of its own does it, so that nothing that holds up the app keeps it alive.
    """
    with suppress(psutil.NoSuchProcess):
        starter = psutil.Process(parent)
        while starter.is_running() and starter.status() != psutil.STATUS_ZOMBIE:
            time.sleep(1)
    loop.add_callback(loop.stop)
    time.sleep(GRACE_SECONDS)
    for kernel in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            kernel.kill()
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def main() -> None:
    """Serve the notebook ``app/search.ipynb`` of a folder."""
    host, port, folder, parent = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    AppPage.proxies = sys.argv[5:]
    Thread(target=watch, args=(parent, IOLoop.current(), folder), daemon=True).start()
    try:
        OnePageVoila.launch_instance(argv=[str(folder / "app" / "search.ipynb")], config=settings(host, port, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # for a parent that was killed


if __name__ == "__main__":
    main()
