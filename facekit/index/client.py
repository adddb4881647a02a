"""Calls of Milvus that have an end, and errors in one line."""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import partial
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from facekit.errors import FacekitError, VectorIndexError
from facekit.index.calls import Calls
from facekit.index.protocol import first_line, gone

if TYPE_CHECKING:
    from collections.abc import Callable

_NEVER = 2**31 - 1  # gRPC's word for it, in milliseconds
_UNREACHABLE, _NO_COLLECTION, _NOT_LOADED = 2, 100, (101, 103)  # pymilvus' code, and those of Milvus
# Seconds, ours: a standalone server that was killed listened again after 7, and had its collections after 35.
_PATIENCE = {_UNREACHABLE: 20.0} | dict.fromkeys(_NOT_LOADED, 90.0)
_AGAIN_AFTER = 0.5


class Client:
    """A ``MilvusClient`` whose calls have an end: by itself it waits for an answer for ever.

    Its own ``timeout`` would not do: with one it also tries failed calls again until then.

    Parameters
    ----------
    address : str
        Of Milvus, without credentials.
    token : str
        ``user:password``, a key, or nothing.
    collection : str
        What is loaded again where a server has forgotten it.
    where : str
        How errors name the index.
    lite : bool
        It runs in this process: what it refuses is not tried again.

    Raises
    ------
    VectorIndexError
        If nothing answers. So does every call, also for what Milvus refuses; a server that is starting is waited for.
    """

    _LOCAL_CALLS = ("create_schema", "prepare_index_params")  # nothing is asked of Milvus

    def __init__(self, address: str, token: str, collection: str, where: str, *, lite: bool = False) -> None:
        from pymilvus import MilvusClient

        # It prints what is raised here, too, with stacks and in red.
        for name in ("pymilvus", "pymilvus.milvus_client"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        self._collection, self._where, self._lite = collection, where, lite
        self._calls = Calls()
        # A connection inside this process needs no sign of life; pings that come too often are refused, in red.
        options = {"grpc.keepalive_time_ms": _NEVER} if lite else {}
        self._client: Any = None
        try:
            self._client = self.ask("connect", MilvusClient, address, token=token, grpc_options=options)
        except BaseException:
            self._calls.close()
            raise

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - pymilvus has no types
        method = getattr(self._client, name)
        return method if name in self._LOCAL_CALLS else partial(self.ask, name, method)

    def ask(self, name: str, method: Callable[..., Any], *what: Any, **how: Any) -> Any:  # noqa: ANN401
        """Call what asks Milvus; every other attribute is the client's, called like this."""
        began = monotonic()
        while True:
            try:
                return self._calls.ask(name, partial(method, *what, **how))
            except FacekitError:  # no answer, or a setting that is wrong: nothing that Milvus says
                raise
            except Exception as error:
                code: Any = getattr(error, "code", None)
                patience = 0.0 if self._lite or self._client is None else _PATIENCE.get(code, 0.0)
                if monotonic() - began >= patience:
                    raise self._told(error, code) from error
            sleep(_AGAIN_AFTER)
            if code in _NOT_LOADED:
                self._load()

    def _load(self) -> None:
        from pymilvus import MilvusException

        with suppress(MilvusException):  # it is being given another index, or the server is starting
            self._calls.ask("load_collection", partial(self._client.load_collection, self._collection))

    def _told(self, error: Exception, code: object) -> VectorIndexError:
        if code == _NO_COLLECTION:
            return gone(self._where)
        if code == _UNREACHABLE:
            message = f"The vector index {self._where} can't be reached."
            return VectorIndexError(message, "See that Milvus runs there, and that address and login are right.")
        message = f"The vector index {self._where} can't be read or written: {first_line(error)}."
        return VectorIndexError(message, "Do it again, or open the library again; the vectors are in the catalog.")

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()
        self._calls.close()
