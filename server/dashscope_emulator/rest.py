"""The vendor's JSON over HTTP: error bodies and the table of those a handshake can meet."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from aiohttp import web

# Source: Model Studio, "Error codes".
_REFUSALS: Final[Mapping[int, tuple[str, str]]] = MappingProxyType(
    {
        401: ("InvalidApiKey", "Invalid API-key provided."),
        403: ("AccessDenied", "Access denied."),
        404: ("NotFound", "Not found!"),
        429: ("Throttling.RateQuota", "Requests rate limit exceeded, please try again later."),
        500: ("InternalError", "Internal server error!"),
        503: ("ModelUnavailable", "Model is unavailable, please try again later."),
    }
)


def error(status: int, code: str, message: str) -> web.Response:
    """The vendor's error body."""
    body = {"code": code, "message": message, "request_id": str(uuid.uuid4())}
    return web.json_response(body, status=status)


def refusal(status: int) -> web.Response:
    """The error body that goes with a status."""
    return error(status, *_REFUSALS.get(status, ("InternalError", "Internal server error!")))
