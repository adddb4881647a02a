"""A session with a facekit service: who one is, and the requests; the verbs are `facekit.library.remote`'s."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from threading import Lock
from typing import TYPE_CHECKING, Any

import httpx2

from facekit.errors import FacekitError, ServiceError, UnknownIdError
from facekit.library.documents import error_of
from facekit.sources.mounts import named_mount
from facekit.system.files import user_path

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from facekit.types.photos import TableName

# A search may wait behind many others; connecting to a service of one's own takes no time.
_TIMEOUT = httpx2.Timeout(120.0, connect=5.0)
_UNAUTHORISED = 401
_API = "/api/v1/"


@dataclass(frozen=True, slots=True)
class Me:
    """Who the service takes this client for."""

    name: str
    role: str
    scopes: tuple[str, ...]


def service_path(path: str | bytes | os.PathLike[Any]) -> str:
    """A path as a service is told it: the whole of it, for it has another current folder. Raises FacekitError."""
    place = os.fsdecode(path) if named_mount(path) else str(user_path(path).absolute())
    try:
        place.encode()
    except UnicodeEncodeError as error:  # said before any of several is sent
        raise _no_text(repr(place)) from error
    return place


class Session:
    """Requests to a service, for whoever signed in.

    Parameters
    ----------
    url : str
        The service's address, ``http://127.0.0.1:8000``.
    token : str
        An API key, or "" for a service without accounts, or before `sign_in`.

    Raises
    ------
    ServiceError
        If the service does not answer, or is none of facekit's.
    """

    def __init__(self, url: str, token: str = "") -> None:
        self.url = url
        self._connect()
        self._token = token
        self._refresh = ""
        self.device_token = ""
        """After a sign-in, what shows `sign_in` the next time that this device was let in before; it opens nothing."""
        self._refreshing = Lock()
        self.on_refresh: Callable[[str], None] = lambda _token: None
        """Called with the newest token for `resume`, whenever there is one."""
        self.accounts = bool(self.get("auth/status").get("accounts"))
        """Whether the service has accounts, so that one has to sign in."""

    def _connect(self) -> None:
        self._client = httpx2.Client(base_url=self.url, timeout=_TIMEOUT, trust_env=False)
        self._process = os.getpid()

    @property
    def has_token(self) -> bool:
        """Whether there is a key, or somebody signed in."""
        return bool(self._token)

    @property
    def closed(self) -> bool:
        """Whether the connection was closed."""
        return self._client.is_closed

    def close(self) -> None:
        """Let go of the service; it goes on."""
        self._client.close()

    # -- who one is ----------------------------------------------------------------------------------------------

    def sign_in(self, name: str, password: str, device: str = "") -> str:
        """Sign in, and return the token with which `resume` goes on without the password.

        ``device`` is the `device_token` of an earlier sign-in; with it, nobody's wrong guesses hold this one up.

        Raises
        ------
        ServiceError
            With status 401 if the name or the password is wrong, 429 after too many tries.
        """
        form = {"grant_type": "password", "username": name, "password": password, "device": device}
        return self._signed_in(self.send("POST", f"{_API}auth/token", data=form, anonymous=True))

    def resume(self, refresh_token: str) -> str:
        """Go on with a session, and return the token for the next time; the one given is used up."""
        body = {"refresh_token": refresh_token}
        return self._signed_in(self.send("POST", f"{_API}auth/refresh", json=body, anonymous=True))

    def sign_out(self) -> None:
        """End the session."""
        try:
            if self._refresh:
                self.send("POST", f"{_API}auth/logout")
        finally:
            self._token = self._refresh = ""
            self.__dict__.pop("identity", None)

    def _signed_in(self, response: httpx2.Response) -> str:
        pair = response.json()
        self._token, self._refresh = pair["access_token"], pair["refresh_token"]
        self.device_token = str(pair.get("device_token", ""))
        self.__dict__.pop("identity", None)
        self.on_refresh(self._refresh)
        return self._refresh

    @cached_property
    def identity(self) -> Me:
        """Who the service takes this client for."""
        said = self.get("auth/me")
        return Me(said["name"], said["role"], tuple(said["scopes"]))

    # -- requests ------------------------------------------------------------------------------------------------

    def send(self, method: str, path: str, *, anonymous: bool = False, **options: Any) -> httpx2.Response:  # noqa: ANN401
        """Send a request; what the service refuses is raised. One that is too old renews the token first."""
        token = "" if anonymous else self._token
        response = self._once(method, path, token, options)
        if response.status_code == _UNAUTHORISED and self._refresh and not anonymous:
            with self._refreshing:  # several threads may learn at once that the token is too old
                if self._token == token:
                    self.resume(self._refresh)
            response = self._once(method, path, self._token, options)
        if response.is_error:
            raise error_of(response)
        return response

    def _once(self, method: str, path: str, token: str, options: dict[str, Any]) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            if self._process != os.getpid():  # a fork: it can't share the parent's connections
                self._connect()
            return self._client.request(method, path, headers=headers, **options)
        except (httpx2.HTTPError, RuntimeError) as error:  # a closed client is a RuntimeError
            message = f"The service at {self.url} does not answer ({error or type(error).__name__})."
            raise ServiceError(message, "Check that it runs: facekit serve. Then try again.") from error
        except UnicodeEncodeError as error:  # as the name of a file may be; a password is not repeated
            raise _no_text("What was given" if path.startswith(f"{_API}auth/") else repr(_word(error))) from error

    def get(self, path: str, /, **asked: Any) -> Any:  # noqa: ANN401 - JSON
        """The JSON at a path of the API; what is asked for with None is left out.

        Raises
        ------
        ServiceError
            If what answers is no facekit service.
        """
        params = {name: value for name, value in asked.items() if value is not None}
        try:
            return self.send("GET", f"{_API}{path}", params=params).json()
        except json.JSONDecodeError as error:
            message = f"What answers at {self.url} is not a facekit service."
            raise ServiceError(message, "Check the address and the port.") from error

    def tell(self, method: str, path: str, /, *, patience: httpx2.Timeout | None = None, **body: Any) -> Any:  # noqa: ANN401
        """Send JSON to a path of the API, and return the JSON that answers; None where nothing is said."""
        options: dict[str, Any] = {} if patience is None else {"timeout": patience}
        response = self.send(method, f"{_API}{path}", json=body, **options)
        return response.json() if response.content else None

    def content(self, path: str) -> bytes | None:
        """The bytes at a path of the API; None where there is nothing."""
        try:
            return self.send("GET", f"{_API}{path}").content
        except UnknownIdError:
            return None

    def table(self, table: TableName, **chosen: Any) -> pd.DataFrame:  # noqa: ANN401 - what the service can choose by
        """A table of the service with all its columns."""
        import pandas as pd

        options = {name: value for name, value in chosen.items() if value is not None}
        options |= {"format": "parquet", "all_columns": True}
        content = self.send("GET", f"{_API}export/{table}", params=options).content
        frame = pd.read_parquet(BytesIO(content))
        if "paths" in frame:
            frame["paths"] = [list(paths) for paths in frame["paths"]]
        return frame

    def job(self, job_id: str) -> dict[str, Any]:
        """A job of the service as it is now."""
        return dict(self.get(f"jobs/{job_id}"))

    def cancel(self, job_id: str) -> None:
        """Stop a job of the service."""
        self.send("POST", f"{_API}jobs/{job_id}/cancel")


def _no_text(what: str) -> FacekitError:
    message = f"{what} can't be named to a service: it is no text."
    return FacekitError(message, "Name the folder above it, or open the library in its folder.")


def _word(error: UnicodeEncodeError) -> str:
    """What could not be written, of a document of which it is a part."""
    start, end = error.object.rfind('"', 0, error.start) + 1, error.object.find('"', error.end)
    return error.object[start : None if end < 0 else end]
