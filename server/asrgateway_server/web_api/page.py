"""The page for browsers and the module that it uses: the files of clients/web, served from memory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import hdrs, web

#: What a built package holds; a checkout has them at their own place.
_PACKAGED: Final = Path(__file__).parent / "page"
_IN_CHECKOUT: Final = Path(__file__).parents[3] / "clients" / "web"
_INDEX: Final = "index.html"
#: What is served; other files beside them, such as tests, are not.
CONTENT_TYPES: Final[Mapping[str, str]] = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
#: Nothing from outside, nothing inline, and no page around ours.
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "worker-src 'self'; img-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # Kept, but asked for again each time: a new gateway has a new page.
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    content_type: str
    etag: str


class Page:
    """The files, by path."""

    def __init__(self, folder: Path | None = None) -> None:
        folder = folder or (_PACKAGED if _PACKAGED.is_dir() else _IN_CHECKOUT)
        self._files = {
            f"/{path.relative_to(folder).as_posix()}": _read(path)
            for path in sorted(folder.glob("*"))
            if path.suffix in CONTENT_TYPES and path.is_file()
        }
        if index := self._files.get(f"/{_INDEX}"):
            self._files["/"] = index

    def response_to(self, request: web.BaseRequest) -> web.Response:
        """Return the file that a request names, or what is wrong with the request."""
        file = self._files.get(request.path)
        if file is None:
            return web.Response(status=404, text="404: Not Found", headers=HEADERS)
        if request.method not in {hdrs.METH_GET, hdrs.METH_HEAD}:
            return web.Response(
                status=405, text="405: Method Not Allowed", headers={**HEADERS, hdrs.ALLOW: "GET, HEAD"}
            )
        headers = {**HEADERS, hdrs.ETAG: file.etag, hdrs.CONTENT_TYPE: file.content_type}
        if file.etag in [tag.strip() for tag in request.headers.get(hdrs.IF_NONE_MATCH, "").split(",")]:
            return web.Response(status=304, headers=headers)
        return web.Response(body=file.body, headers=headers)


def _read(path: Path) -> _File:
    body = path.read_bytes()
    return _File(body, CONTENT_TYPES[path.suffix], f'"{hashlib.sha256(body).hexdigest()[:32]}"')
