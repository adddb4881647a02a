"""What the app answers: Voila's handlers, without what a stranger could do with them."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakSet

from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest, split_host_and_port
from tornado.routing import Matcher
from tornado.web import HTTPError, RequestHandler
from voila.handler import BaseVoilaHandler
from voila.static_file_handler import TemplateStaticFileHandler
from voila.tornado.handler import TornadoVoilaHandler
from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler

from facekit.system.addresses import client_of, is_among, visitor_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from tornado.iostream import IOStream

# A kernel takes about 70 MB, all of them 3 GB: what a machine with 8 GB can spare beside the service and its models.
KERNELS = 40
VISITOR_KERNELS = 20  # each open tab has one; nobody takes all, and an office behind one address has enough
CONNECTIONS = 100  # of an address: a tab has its kernel's, and a browser opens six more while it loads the page
# Jupyter's newer form of messages, the one that Voila's own JavaScript asks for. Its reader of the older one takes
# their first bytes for a number that it counts up to, and that has 20 digits.
MESSAGES = "v1.kernel.websocket.jupyter.org"
OFFSET_BYTES = 8  # a message begins with the number of its offsets and the offsets, each of 8 bytes
PRINTED = {"stream", "error"}
UNREADABLE = 1007  # RFC 6455, section 7.4.1
# Voila fails at addresses of another form, and the page needs no other template's files.
TEMPLATE_FILE = re.compile(r"facekit/static/(?!.*\.\.)[\w./-]+")


def is_this_machine(name: str) -> bool:
    """Whether a host's name can mean no other machine than the one that asks."""
    try:
        return name.lower() == "localhost" or ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


class LimitedServer(HTTPServer):
    """A server that gives one address so many connections; proxies that were named may have any number."""

    def handle_stream(self, stream: IOStream, address: Any) -> None:  # noqa: ANN401 - what the socket says
        """Take a connection, or close it."""
        if isinstance(address, tuple) and not is_among(address[0], AppPage.proxies):
            those = _streams[client_of(address[0])]
            if sum(not one.closed() for one in those) >= CONNECTIONS:
                stream.close()
                return
            those.add(stream)
        super().handle_stream(stream, address)


_streams: defaultdict[str, WeakSet[IOStream]] = defaultdict(WeakSet)


class OtherNames(Matcher):
    """Requests to a name that is not this machine's: a page whose name was made to point here (DNS rebinding)."""

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        """Take the request, or leave it to the next rule."""
        name, _ = split_host_and_port(request.host)
        return None if is_this_machine(name) else {}


class Refused(RequestHandler):
    """The answer to them."""

    def prepare(self) -> None:
        """Answer every method the same way."""
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish("This app answers on this machine only. Open it at http://localhost.\n")


class AppPage(TornadoVoilaHandler):  # type: ignore[misc]
    """The app."""

    proxies: ClassVar[Sequence[str]] = ()  # whose word on where a visitor comes from is believed

    async def get(self, path: str | None = None) -> None:
        """The page, with the cookie without which its last request, to end its kernel, is refused."""
        said = ",".join(self.request.headers.get_list("X-Forwarded-For"))
        visitor = client_of(visitor_of(self.request.remote_ip or "", said, self.proxies))
        with self.kernel_manager.visited_by(visitor, VISITOR_KERNELS, KERNELS) as room:
            if not room:
                raise HTTPError(503)
            _ = self.xsrf_token
            await super().get(path)

    async def head(self, path: str | None = None) -> None:
        """That the page is there: link previews and monitors ask, and need no kernel."""


class KernelSocket(VoilaKernelWebsocketHandler):  # type: ignore[misc]
    """A page's connection to its kernel.

    It takes only messages that can be read in the time they take to arrive, and passes on nothing that the kernel
    prints: tracebacks hold paths and values, and are for the app's log.
    """

    async def prepare(self) -> None:
        """Refuse a client that does not ask for the newer form of messages."""
        await super().prepare()
        asked = self.request.headers.get("Sec-WebSocket-Protocol", "")
        if MESSAGES not in [form.strip() for form in asked.split(",")]:
            raise HTTPError(400)

    def on_message(self, ws_message: str | bytes) -> None:
        """Pass a message on, if it has as many offsets as it says: Jupyter counts up to the number it finds there."""
        if isinstance(ws_message, bytes):
            count = int.from_bytes(ws_message[:OFFSET_BYTES], "little")
            if OFFSET_BYTES * (1 + count) <= len(ws_message):
                super().on_message(ws_message)
                return
        self.close(UNREADABLE)

    def write_message(self, message: str | bytes | dict[str, Any], binary: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002 - Tornado's
        """Send the page what its kernel says, but for what it prints."""
        if isinstance(message, bytes) and (printed := _printed(message)):
            self.log.warning("A kernel printed: %s", printed)
            return None
        return super().write_message(message, binary)


def _printed(message: bytes) -> str:
    """What a message to a page holds of a kernel's output and tracebacks, as one line; "" for any other message."""
    channel, parts = deserialize_msg_from_ws_v1(message)  # type: ignore[no-untyped-call]
    printed = json.loads(parts[0])["msg_type"] in PRINTED
    if not printed and channel != "shell":
        return ""
    content = json.loads(parts[3])
    return json.dumps(content) if printed or content.get("status") == "error" else ""


class TemplateFile(TemplateStaticFileHandler):  # type: ignore[misc]
    """A file that the page loads."""

    def get(self, path: str, include_body: bool = True) -> Awaitable[None]:  # noqa: FBT001, FBT002 - Tornado's
        """The file, or "not found" for whatever is none of the template's."""
        if not TEMPLATE_FILE.fullmatch(path):
            raise HTTPError(404)
        answer: Awaitable[None] = super().get(path, include_body)
        return answer


class NotFound(BaseVoilaHandler):  # type: ignore[misc]
    """Any other address: the friendly page for it."""

    async def prepare(self) -> None:
        """Answer every method the same way."""
        await super().prepare()
        raise HTTPError(404)
