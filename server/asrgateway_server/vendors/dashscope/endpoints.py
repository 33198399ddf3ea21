"""Where the vendor is reached, and with whose key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from asrgateway_server.backends.credential import fingerprint
from asrgateway_server.settings import SettingsError
from asrgateway_server.vendors.dashscope.settings import DashScopeSettings, EndpointSettings

#: The endpoint of ``dashscope_url`` and its key.
DEFAULT_ENDPOINT: Final = "dashscope"

_WORKSPACE_SLOT: Final = "{workspace}"
# Source: Model Studio manual, "regions".
_SHARED_HOSTS: Final[Mapping[str, str]] = {
    "dashscope.aliyuncs.com": "cn-beijing",
    "dashscope-intl.aliyuncs.com": "ap-southeast-1",
    "dashscope-us.aliyuncs.com": "us-east-1",
    "cn-hongkong.dashscope.aliyuncs.com": "cn-hongkong",
}
_WORKSPACE_HOST: Final = re.compile(r"[^.]+\.([a-z0-9-]+)\.maas\.aliyuncs\.com")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One place where the vendor is reached.

    Attributes:
        name: What the operator calls it.
        url: Scheme, host and port for WebSockets; ``{workspace}`` in it stands for the workspace's id.
        region: What clients see; empty if it is not known.
        workspace: Id of the workspace; empty: that of the key.
        key: Its key; None: it is in a file, or there is none.
        key_file: The file that holds it; empty if none does.
    """

    name: str
    url: str
    region: str = ""
    workspace: str = ""
    key: SecretStr | None = field(default=None, repr=False)
    key_file: str = ""

    @property
    def has_key(self) -> bool:
        """Whether the operator has a key for it."""
        return self.key is not None or bool(self.key_file)

    @property
    def account(self) -> str:
        """The account, as far as keys tell: a fingerprint of the key or of its file's path; endpoints may share it."""
        return fingerprint(self.key.get_secret_value() if self.key else self.key_file)

    @property
    def needs_workspace(self) -> bool:
        """Whether its host is that of a workspace yet to be named."""
        return _WORKSPACE_SLOT in self.url

    def websocket_url(self, workspace: str = "") -> str:
        """Return scheme, host and port for WebSockets, for a workspace or its own."""
        return self.url.replace(_WORKSPACE_SLOT, workspace or self.workspace)

    def http_url(self, workspace: str = "") -> str:
        """Return the base of the HTTP interface, which hands out tokens and keeps hot words."""
        return http_url_beside(self.websocket_url(workspace))


def http_url_beside(websocket_url: str) -> str:
    """Return the base of the HTTP interface at the host of a WebSocket URL."""
    scheme, _, rest = websocket_url.partition("://")
    return f"{'https' if scheme == 'wss' else 'http'}://{rest}/api/v1"


def endpoints_of(settings: DashScopeSettings) -> Mapping[str, Endpoint]:
    """Return every endpoint by its name.

    Raises:
        SettingsError: One has the default's name, or no workspace for its host.
    """
    if DEFAULT_ENDPOINT in settings.endpoints:
        raise SettingsError(f"endpoints.{DEFAULT_ENDPOINT}: this is the name of dashscope_url; choose another one")
    default = Endpoint(
        name=DEFAULT_ENDPOINT,
        url=settings.dashscope_url,
        region=region_of(settings.dashscope_url),
        workspace=settings.dashscope_workspace,
        key=settings.dashscope_api_key,
        key_file="" if settings.dashscope_api_key else settings.dashscope_api_key_file,
    )
    others = {name: _endpoint(name, chosen, default) for name, chosen in settings.endpoints.items()}
    for endpoint in (default, *others.values()):
        if endpoint.needs_workspace and not endpoint.workspace and not settings.allow_caller_keys:
            path = "dashscope_workspace" if endpoint is default else f"endpoints.{endpoint.name}.workspace"
            raise SettingsError(f"{path} is not set, and the host of the url is made of it")
    return MappingProxyType({DEFAULT_ENDPOINT: default, **others})


def _endpoint(name: str, chosen: EndpointSettings, default: Endpoint) -> Endpoint:
    has_own = chosen.api_key is not None or bool(chosen.api_key_file)
    return Endpoint(
        name=name,
        url=chosen.url,
        region=chosen.region or region_of(chosen.url),
        workspace=chosen.workspace,
        key=chosen.api_key if has_own else default.key,
        key_file=chosen.api_key_file if has_own else default.key_file,
    )


def region_of(url: str) -> str:
    """Return the region that a host of the vendor's stands in; empty for any other host."""
    host = urlsplit(url.replace(_WORKSPACE_SLOT, "workspace")).hostname or ""
    match = _WORKSPACE_HOST.fullmatch(host)
    return match[1] if match else _SHARED_HOSTS.get(host, "")
