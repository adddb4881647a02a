"""``facekit serve``: own a library, serve it, and with it, when asked, the web app."""

from __future__ import annotations

import ipaddress
import logging
import os
import secrets
import signal
import socket
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

import uvicorn
from loguru import logger

from facekit.errors import FacekitError, LibraryError, LibraryLockedError
from facekit.images.files import display_name
from facekit.library.local import LocalLibrary
from facekit.server.access import Access
from facekit.server.accounts import Accounts
from facekit.server.app import create_app
from facekit.server.connections import limited
from facekit.server.service import Service
from facekit.server.stores import rate_limits
from facekit.storage.lock import announce_service, withdraw_service
from facekit.storage.place import whole_place

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

    from fastapi import FastAPI

    from facekit.storage.place import Place

_CONNECTIONS = 1000  # far above what a page with its thumbnails opens, and below what a process may have open files
_STOP_SECONDS = 5  # for requests that are being answered; event streams never end by themselves


def serve(  # noqa: PLR0913 - all but the folder are named
    place: Place,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    roots: Sequence[Path] = (),
    app_port: int | None = None,
    forwarded_allow_ips: str = "",
    sync_every: timedelta | None = None,
    device: str = "auto",
    engine: str = "auto",
    stop_at_eof: bool = False,
    tell: Callable[[str], None] = print,
) -> None:
    """Serve a library until Ctrl-C.

    Parameters
    ----------
    place : Path or str
        The library's folder, where one is made if there is none, or the address of its catalog.
    host, port : str, int
        Where to listen; port 0 takes a free one.
    roots : sequence of Path
        Folders from which photos may be ingested over HTTP. Without accounts, your home folder by default.
    app_port : int, optional
        Where the web app listens, on the same host; 0 takes a free one, None is no app.
    forwarded_allow_ips : str
        Addresses or networks of the proxies in front, separated by commas: what they say in ``X-Forwarded-For`` and
        ``X-Forwarded-Proto`` is believed, and nobody else's word.
    sync_every : timedelta, optional
        How often connected places are synced; None: when somebody asks for it.
    device, engine : str
        What the models run on and in, see `facekit.open`.
    stop_at_eof : bool
        Stop when standard input ends, as it does when the process that started this one is gone.
    tell : callable
        Is given each line for the person who started it.

    Raises
    ------
    LibraryError
        If the address is not this machine's own and there are no accounts, something listens there already, or a root
        or a proxy is none.
    LibraryLockedError
        If another process has the library.
    """
    place = whole_place(place)
    for root in roots:
        if not Path(root).expanduser().is_dir():
            message = f"The root {display_name(root)} is no folder that is there."
            raise LibraryError(message, "Check how it is written and that its disk is there, or leave it out.")
    proxies = _proxies(forwarded_allow_ips)
    page = None
    # A service manager's signal is to end it as Ctrl-C does; uvicorn stops in good order and then raises it again.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), ExitStack() as opened:
        listening = _listen(host, port)
        opened.callback(listening.close)
        try:
            library = LocalLibrary(place, device=device, engine=engine)
        except LibraryLockedError as error:
            if error.service is None:
                raise
            message = f"A service at {error.service.url} owns the library {place} already."
            raise LibraryError(message, "Use that one, or stop it first.") from error
        opened.callback(library.close)
        service = Service(library, roots, sync_every)
        opened.callback(service.store.close)
        access = Access(Accounts(service.store), secrets.token_urlsafe(32), rate_limits(library.storage.backend))
        accounts = access.has_accounts()
        if not accounts and not _is_loopback(host):
            message = f"{host} can be reached from other machines, and the library has no accounts."
            raise LibraryError(message, f"Add one: facekit --library {library.place} users add NAME --role admin")
        if not accounts and not roots:
            service.paths.roots = (Path.home().resolve(),)
        url = f"http://{_reachable(host)}:{listening.getsockname()[1]}"
        announce_service(library.folder, url, access.owner_key)
        opened.callback(withdraw_service, library.folder)
        _log_through_loguru()
        server = web_server(create_app(service, access), proxies)
        if stop_at_eof:
            Thread(target=_stop_at_eof, args=(server,), name="facekit-stdin", daemon=True).start()
        if app_port is None:
            tell(f"facekit serves {library.place} at {url} ({'with' if accounts else 'without'} accounts; {url}/docs)")
        else:
            page = _Page(server, service, access, url, host, app_port or _free_port(host), proxies, tell)
            page.start()
            opened.callback(page.stop)
        server.run(sockets=[listening])
    if page and page.problem:
        raise page.problem


def web_server(app: FastAPI, proxies: Sequence[str] = ()) -> uvicorn.Server:
    """What answers requests; only the proxies named are believed when they say for whom they ask."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,  # a line with the request's id is written by the application
        server_header=False,
        timeout_graceful_shutdown=_STOP_SECONDS,
        limit_concurrency=_CONNECTIONS,
        http=limited(proxies),
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
        ws="none",
    )
    return uvicorn.Server(config)


def _stop_at_eof(server: uvicorn.Server) -> None:
    while sys.stdin.buffer.read(1024):
        pass
    server.should_exit = True


class _Page(Thread):
    """The web app beside the service: when it ends by itself, the service ends too."""

    def __init__(  # noqa: PLR0917 - all of it is what the page stands on
        self,
        server: uvicorn.Server,
        service: Service,
        access: Access,
        url: str,
        host: str,
        port: int,
        proxies: Sequence[str],
        tell: Callable[[str], None],
    ) -> None:
        super().__init__(name="facekit-app", daemon=True)
        self._server = server
        self._folder = service.library.folder
        self._place = service.library.place
        self._access = access
        self._url = url
        self._where = (host, port)
        self._proxies = proxies
        self._tell = tell
        self._stopping = Event()
        self.problem: FacekitError | None = None

    def run(self) -> None:
        """Start the app, say where it is, and watch it."""
        from facekit.webapp import launch

        host, port = self._where
        try:
            log = self._folder / "logs" / "app.log"
            app = launch.start(self._url, log, host=host, port=port, proxies=self._proxies, stopping=self._stopping)
        except FacekitError as error:
            if not self._stopping.is_set():
                self._end(error)
            return
        announce_service(self._folder, self._url, self._access.owner_key, app.url)
        self._tell(f"facekit shows {self._place} at {app.url}")
        try:
            while not self._stopping.wait(0.5):
                if app.poll() is not None:
                    self._end(FacekitError("The web app ended by itself.", f"See {app.log}, and start it again."))
                    return
        finally:
            app.stop()

    def stop(self) -> None:
        """End the app."""
        self._stopping.set()
        self.join()

    def _end(self, problem: FacekitError) -> None:
        self.problem = problem
        self._server.should_exit = True


def _proxies(named: str) -> list[str]:
    proxies = [one.strip() for one in named.split(",") if one.strip()]
    for one in proxies:
        try:
            ipaddress.ip_network(one)
        except ValueError as error:
            message = f"{one} is no address of a proxy, and no network."
            raise LibraryError(message, "Give --forwarded-allow-ips 10.0.0.2, for example, or 10.0.0.0/24.") from error
    return proxies


def _free_port(host: str) -> int:
    with _listen(host, 0) as free:
        return int(free.getsockname()[1])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named: asyncio sends without delay
        if os.name == "posix":  # elsewhere it would let two programs listen at once
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen()  # who comes while the models load waits
    except OSError as error:
        message = f"{host}:{port} can't be listened on: {error.strerror or error}."
        raise LibraryError(message, "Choose another --port, or stop what listens there.") from error
    return listening


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _reachable(host: str) -> str:
    """The address under which this machine's own programs reach what listens on a host."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "[::1]"  # noqa: PLR2004
    return f"[{host}]" if address.version == 6 else host  # noqa: PLR2004


class _Through(logging.Handler):
    """Hands the standard library's log records to loguru, as its documentation recommends."""

    def emit(self, record: logging.LogRecord) -> None:
        logger.opt(depth=6, exception=record.exc_info).log(record.levelname, record.getMessage())


def _log_through_loguru() -> None:
    for name in ("uvicorn.error", "fastapi"):
        log = logging.getLogger(name)
        log.handlers = [_Through()]
        log.propagate = False
        log.setLevel(logging.WARNING)


def log_as_json() -> None:
    """Write every line of the log to stderr as one JSON document, for a program that collects logs."""
    logger.remove()
    logger.add(sys.stderr, serialize=True, level="INFO", diagnose=False)
