"""The process that shows the app's notebook: Voila with one page and nothing beside it.

Run by `facekit.webapp.launch` as ``python -m facekit.webapp.pages HOST PORT FOLDER``.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from tornado.ioloop import PeriodicCallback
from tornado.web import HTTPError
from traitlets.config import Config
from voila.app import Voila
from voila.handler import BaseVoilaHandler
from voila.tornado.handler import TornadoVoilaHandler

# Everything comes from here: a photo must not leave, nor tell anyone that it is looked at. Voila's own JavaScript
# needs the two unsafe ones, and widgets' modules and pictures are blobs.
CONTENT_SECURITY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' blob: data:; media-src 'self' blob:; font-src 'self' data:; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
)
# An upload is one message. Over Tornado's 10 MiB the connection drops without a word, and a browser that can't scale a
# photo down sends it in original size: 48 Mpx are up to 15 MB as a JPEG.
MESSAGE_BYTES = 16 * 2**20
CULL_SECONDS = 600  # a kernel nobody is connected to; long enough for a phone that was put away for a moment
CELL_SECONDS = 60  # the notebook only builds the page; what is slow runs in the service
# The routes of Voila that the page uses. Not /voila/files, which serves files without asking who wants them.
ROUTES = ("/api/kernels/", "/voila/templates/", "/voila/static/", "/voila/labextensions/", "/voila/api/shutdown/")
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
                "connection_dir_root": str(folder / "connections"),
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
            },
            "VoilaExecutor": {"timeout": CELL_SECONDS},
            "MappingKernelManager": {
                "cull_interval": 60,
                "cull_idle_timeout": CULL_SECONDS,
                "cull_connected": False,
            },
            # A restarted kernel knows nothing of the widgets on the page; a dead one is noticed, and the page says so.
            "KernelRestarter": {"restart_limit": 0},
        }
    )


class AppPage(TornadoVoilaHandler):  # type: ignore[misc]
    """The app."""

    async def get(self, path: str | None = None) -> None:
        """The page, with the cookie without which its last request, to end its kernel, is refused."""
        _ = self.xsrf_token
        await super().get(path)


class NotFound(BaseVoilaHandler):  # type: ignore[misc]
    """Any other address: the friendly page for it."""

    async def prepare(self) -> None:
        """Answer every method the same way."""
        await super().prepare()
        raise HTTPError(404)


class Pages(Voila):  # type: ignore[misc]
    """Voila with one page, that ends when the process that started it does."""

    def init_handlers(self) -> list[Any]:
        """The page at ``/``, what it loads, and "not found" for everything else."""
        *handlers, (_, _, page) = super().init_handlers()
        kept = [handler for handler in handlers if handler[0].startswith(ROUTES)]
        missing = {"voila_configuration": self.voila_configuration}
        return [*kept, ("/()", AppPage, page), ("/.*", NotFound, missing)]

    def listen(self) -> None:
        """Serve until told to stop, or left alone: a killed parent can't tell."""
        parent = os.getppid()
        PeriodicCallback(lambda: None if os.getppid() == parent else self.ioloop.stop(), 1000).start()
        super().listen()


def main() -> None:
    """Serve the notebook ``app/search.ipynb`` of a folder."""
    host, port, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    try:
        Pages.launch_instance(argv=[str(folder / "app" / "search.ipynb")], config=settings(host, port, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # for a parent that was killed


if __name__ == "__main__":
    main()
