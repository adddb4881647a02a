"""Milvus Lite behind a socket that only this user reaches.

``MilvusClient("x.db")`` would listen on a TCP port of this machine and answer everybody there, without a login.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from loguru import logger

from facekit.system.forks import give_up_in_forks
from facekit.system.permissions import RuntimeFolder

if TYPE_CHECKING:
    from pathlib import Path

_SOCKET = "milvus"
_THREADS = 10  # as many as Milvus Lite's own server has
_ANY_LENGTH = -1


class LiteServer:
    """The engine of Milvus Lite in this process, for the clients of this process.

    Parameters
    ----------
    path : Path
        Folder of the index; made if it is not there. ``uri`` is the address for a client.

    Raises
    ------
    milvus_lite.MilvusLiteError
        If another process has the folder open, or it can't be read.
    OSError
        If the folder can't be made, or no socket.
    """

    def __init__(self, path: Path) -> None:
        import grpc
        from milvus_lite import MilvusLite
        from milvus_lite.adapter.grpc import MilvusServicer
        from pymilvus.grpc_gen.milvus_pb2_grpc import add_MilvusServiceServicer_to_server

        self._folder: RuntimeFolder | None = None
        self._engine = MilvusLite(str(path))
        give_up_in_forks(path / "LOCK")
        lengths = [("grpc.max_receive_message_length", _ANY_LENGTH), ("grpc.max_send_message_length", _ANY_LENGTH)]
        self._server = grpc.server(ThreadPoolExecutor(_THREADS, "milvus-lite"), options=lengths)
        try:
            add_MilvusServiceServicer_to_server(MilvusServicer(self._engine), self._server)
            self.uri = self._listen()
            self._server.start()
        except BaseException:
            self.close()
            raise

    def _listen(self) -> str:
        if os.name == "nt":  # gRPC has no Unix sockets there
            logger.warning("On Windows, other users of this machine can read the vectors of a library that is open.")
            return f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._folder = RuntimeFolder(len(_SOCKET))
        uri = f"unix:{self._folder.path / _SOCKET}"
        self._server.add_insecure_port(uri)
        return uri

    def close(self) -> None:
        """Write what is pending and give the folder back."""
        self._server.stop(grace=2).wait()
        self._engine.close()
        if self._folder is not None:
            self._folder.close()
