"""Keys for the vendor: as they are, from a file that may change, or exchanged for tokens of short life."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

import aiohttp
from pydantic import SecretStr

from asrgateway_server.backends.credential import Credential, fingerprint, with_key
from asrgateway_server.backends.network import proxy_for, tls
from asrgateway_server.config import RecognitionConfig
from asrgateway_server.errors import GatewayError, InvalidRequest, Unauthenticated, UpstreamLost, UpstreamRefused
from asrgateway_server.files import read_file, shown
from asrgateway_server.settings import SettingsError, is_key, key_in
from asrgateway_server.vendors.dashscope.caller_key import CALLER_KEY, CALLER_WORKSPACE, caller_key, caller_workspace
from asrgateway_server.vendors.dashscope.endpoints import DEFAULT_ENDPOINT, Endpoint, endpoints_of, http_url_beside
from asrgateway_server.vendors.dashscope.settings import DashScopeSettings
from asrgateway_server.watched_files import CHECK_SECONDS, WatchedFiles

log = logging.getLogger(__name__)

WORKSPACE_HEADER: Final = "X-DashScope-WorkSpace"
# A token is renewed once so much of its life is over; until its end the old one does while there is no new one.
_RENEWED_AFTER: Final = 0.8
_RETRY_SECONDS: Final = 5.0
_LONGEST_ANSWER_BYTES: Final = 16 * 1024

Clock = Callable[[], float]


class FixedKey:
    """A key that stays as it is."""

    def __init__(self, key: SecretStr) -> None:
        self._key = key

    async def key(self, instead_of: str = "") -> str:  # noqa: ARG002 there is no other one
        """See ``Credential``."""
        return self._key.get_secret_value()


class KeyFile:
    """A key in a file, which is read again when it changes.

    Args:
        path: The file.
        check_seconds: It is looked at so often at most, but for a key that was rejected.
        clock: Monotonic seconds.

    Raises:
        SettingsError: The file cannot be read, or holds no key.
    """

    def __init__(self, path: Path, *, check_seconds: float = CHECK_SECONDS, clock: Clock = time.monotonic) -> None:
        self._path = path
        self._file = WatchedFiles([path], self._read, check_seconds, clock)

    async def key(self, instead_of: str = "") -> str:
        """See ``Credential``."""
        return self._file.current(at_once=bool(instead_of))

    def _read(self) -> str:
        data = read_file(self._path)
        try:
            return key_in(data)
        except ValueError as error:
            raise ValueError(f"{shown(self._path)} {error}") from None


class TokenExchange(Protocol):
    """Exchanges a key for a token of short life."""

    async def __call__(self, key: str) -> str:
        """Return the token.

        Raises:
            UpstreamRefused: The vendor rejects the key.
            UpstreamLost: There is no token to be had now.
        """


class TemporaryTokens:
    """Tokens in place of a key: one at a time, renewed before its end, fetched once however many calls wait.

    Args:
        permanent: The key that tokens are made of.
        exchange: Makes one.
        lifetime_seconds: How long one lives.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        permanent: Credential,
        exchange: TokenExchange,
        lifetime_seconds: float,
        *,
        clock: Clock = time.monotonic,
    ) -> None:
        self._permanent = permanent
        self._exchange = exchange
        self._lifetime_seconds = lifetime_seconds
        self._clock = clock
        self._fetching = asyncio.Lock()
        self._token = ""
        self._renew_at = self._expires_at = 0.0
        self._failure: GatewayError | None = None
        self._failures = 0

    async def key(self, instead_of: str = "") -> str:
        """See ``Credential``."""
        if instead_of and instead_of == self._token:
            self._token = ""
        now = self._clock()
        is_good = bool(self._token) and now < self._expires_at
        if is_good and (now < self._renew_at or self._fetching.locked()):
            return self._token
        failures = self._failures
        async with self._fetching:
            if self._token and self._clock() < self._renew_at:
                return self._token
            if self._failure and self._failures != failures:
                raise copy.copy(self._failure)  # It came while this call waited for the same answer.
            return await self._renew()

    async def _renew(self) -> str:
        began = self._clock()
        try:
            token = await with_key(self._permanent, self._exchange)
        except GatewayError as error:
            self._failure = error
            self._failures += 1
            if not self._token or self._clock() >= self._expires_at:
                raise
            self._renew_at = self._clock() + _RETRY_SECONDS
            log.warning("token not renewed, the last one is kept", extra={"reason": error.reason})
            return self._token
        self._token = token
        self._renew_at = began + _RENEWED_AFTER * self._lifetime_seconds
        self._expires_at = began + self._lifetime_seconds
        return token


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How one call reaches the vendor.

    Attributes:
        endpoint: What the operator calls the place.
        url: Scheme, host and port for WebSockets.
        workspace: Sent along; empty: that of the key.
        account: Names the account, as far as keys tell.
        credential: What the vendor is shown.
        is_callers: It is the caller's own, and so is the blame if it is rejected.
    """

    endpoint: str
    url: str
    workspace: str
    account: str
    credential: Credential = field(repr=False)
    is_callers: bool

    @property
    def http_url(self) -> str:
        """Base of the vendor's HTTP interface there."""
        return http_url_beside(self.url)

    def headers(self, key: str) -> dict[str, str]:
        """Return what every request to the vendor bears."""
        return headers(key, self.workspace)


def headers(key: str, workspace: str) -> dict[str, str]:
    """Return what every request to the vendor bears."""
    return {"Authorization": f"Bearer {key}"} | ({WORKSPACE_HEADER: workspace} if workspace else {})


class Keyring:
    """The credentials of all endpoints, for the life of the process.

    Raises:
        SettingsError: A key file cannot be read, or an endpoint is not what it may be.
    """

    def __init__(self, settings: DashScopeSettings) -> None:
        self._settings = settings
        self._endpoints = endpoints_of(settings)
        self._session: aiohttp.ClientSession | None = None
        self._credentials = self._made()

    async def __aenter__(self) -> Self:
        """Prepare what requests for tokens need."""
        if self._settings.dashscope_temporary_tokens:
            connector = aiohttp.TCPConnector(ssl=tls(self._settings.upstream_ca_file))
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        if self._session:
            await self._session.close()

    @property
    def endpoints(self) -> Collection[str]:
        """The names of all endpoints."""
        return self._endpoints.keys()

    def access(self, config: RecognitionConfig) -> Access:
        """Return how a call reaches the vendor.

        Raises:
            Unauthenticated: There is no key for it, the gateway's or the caller's.
            InvalidRequest: The caller's key needs a workspace beside it.
        """
        endpoint = self._endpoints[config.model.endpoint or DEFAULT_ENDPOINT]
        if key := caller_key(config):
            workspace = caller_workspace(config)
            if endpoint.needs_workspace and not workspace:
                raise InvalidRequest(
                    f"this model is reached at a workspace's own host: send {CALLER_WORKSPACE} beside {CALLER_KEY}",
                    field=CALLER_WORKSPACE,
                )
            return Access(
                endpoint=endpoint.name,
                url=endpoint.websocket_url(workspace),
                workspace=workspace,
                account=fingerprint(key.get_secret_value()),
                credential=FixedKey(key),
                is_callers=True,
            )
        credential = self._credentials.get(endpoint.name)
        if credential is None:
            raise Unauthenticated(
                f"this gateway has no key of its own for this model; send yours as metadata {CALLER_KEY}",
                field=CALLER_KEY,
            )
        return Access(
            endpoint=endpoint.name,
            url=endpoint.websocket_url(),
            workspace=endpoint.workspace,
            account=endpoint.account,
            credential=credential,
            is_callers=False,
        )

    def _made(self) -> Mapping[str, Credential]:
        """Make the credential of each endpoint that has one."""
        made: dict[str, Credential] = {}
        for name, endpoint in self._endpoints.items():
            if endpoint.has_key and (endpoint.workspace or not endpoint.needs_workspace):
                made[name] = self._credential(endpoint)
        return made

    def _credential(self, endpoint: Endpoint) -> Credential:
        permanent: Credential
        if endpoint.key:
            permanent = FixedKey(endpoint.key)
        else:
            try:
                permanent = KeyFile(Path(endpoint.key_file))
            except SettingsError as error:
                raise SettingsError(f"the key file of endpoint {endpoint.name}: {error}") from None
        if not self._settings.dashscope_temporary_tokens:
            return permanent
        lifetime_seconds = self._settings.dashscope_token_seconds

        async def exchange(key: str) -> str:
            return await self._exchanged(endpoint, key)

        return TemporaryTokens(permanent, exchange, lifetime_seconds)

    async def _exchanged(self, endpoint: Endpoint, key: str) -> str:
        """Exchange a key for a token.

        Source: Model Studio manual, "generate a temporary API key".
        """
        if self._session is None:
            raise RuntimeError("the keyring is not open")
        url = f"{endpoint.http_url()}/tokens"
        seconds = self._settings.upstream_ready_timeout_seconds
        try:
            async with (
                asyncio.timeout(seconds),
                self._session.post(
                    url,
                    params={"expire_in_seconds": str(self._settings.dashscope_token_seconds)},
                    headers=headers(key, endpoint.workspace),
                    proxy=proxy_for(url),
                    allow_redirects=False,
                ) as response,
            ):
                body = await _bounded(response)
        except TimeoutError:
            raise UpstreamLost(f"the vendor gave no token within {seconds:g} s") from None
        except (aiohttp.ClientError, OSError):
            raise UpstreamLost("the vendor cannot be reached for a token") from None
        return _token_from(response.status, body)


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = b""
    while len(body) < _LONGEST_ANSWER_BYTES and (part := await response.content.readany()):
        body += part
    return body[:_LONGEST_ANSWER_BYTES]


def _token_from(status: int, body: bytes) -> str:
    code = f"HTTP {status}"
    if status in {401, 403}:
        raise UpstreamRefused(
            "the vendor makes no token of the gateway's key; its operator must look", upstream_code=code
        )
    if status != 200:
        raise UpstreamLost(f"the vendor gave no token, but HTTP status {status}", upstream_code=code)
    try:
        token = json.loads(body)["token"]
    except (ValueError, TypeError, KeyError):
        token = ""
    if not isinstance(token, str) or not is_key(token):
        raise UpstreamLost("the vendor's answer holds no token", upstream_code=code)
    return token
