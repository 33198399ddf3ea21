"""How connections to the vendor are made: TLS and proxies, for WebSockets and HTTP alike."""

from __future__ import annotations

import functools
import ssl
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from asrgateway_server.files import NotAFile, shown, verify_file
from asrgateway_server.settings import SettingsError


def no_redirects() -> aiohttp.TraceConfig:
    """Return what keeps a session from following the vendor elsewhere, with the key, the audio and the hot words.

    A WebSocket's handshake has no option for it. What would be followed raises ``aiohttp.WSServerHandshakeError``.
    """
    config = aiohttp.TraceConfig()
    config.on_request_redirect.append(_refuse_redirect)
    return config


async def _refuse_redirect(
    _session: aiohttp.ClientSession, _context: SimpleNamespace, redirect: aiohttp.TraceRequestRedirectParams
) -> None:
    response = redirect.response
    response.close()
    raise aiohttp.WSServerHandshakeError(response.request_info, (), status=response.status, message="redirect")


def tls(ca_file: str) -> ssl.SSLContext:
    """Return what checks the vendor's certificate.

    Raises:
        SettingsError: The file cannot be read.
    """
    try:
        if not ca_file:
            return _system_authorities()
        verify_file(Path(ca_file), Path(ca_file).stat())
        return ssl.create_default_context(cafile=ca_file)
    except NotAFile as error:
        raise SettingsError(f"upstream_ca_file: {shown(ca_file)} {error}") from None
    except OSError as error:
        raise SettingsError(f"upstream_ca_file: {shown(ca_file)} cannot be read: {error.strerror or error}") from None


@functools.cache
def _system_authorities() -> ssl.SSLContext:
    # Shared: to read the authorities takes 40 ms, and each context keeps them all in memory.
    return ssl.create_default_context()


def proxy_for(url: str) -> str | None:
    """Return the environment's proxy for a URL; that of ``http`` is for ``ws`` too, that of ``https`` for ``wss``."""
    parts = urlsplit(url)
    if parts.hostname is None or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return getproxies().get("https" if parts.scheme in {"https", "wss"} else "http")
