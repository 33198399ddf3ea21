"""The vendor's error bodies over HTTP."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from aiohttp import web

from dashscope_emulator.credentials import CredentialRefused

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


def unauthorized(refused: CredentialRefused, status: int = 401) -> web.Response:
    """Return the error body for a missing or a wrong key."""
    message = "No API-key provided." if refused.is_missing else "Invalid API-key provided."
    return error(status, "InvalidApiKey", message)


def error(status: int, code: str, message: str) -> web.Response:
    """Return the vendor's error body."""
    body = {"code": code, "message": message, "request_id": str(uuid.uuid4())}
    return web.json_response(body, status=status)


def refusal(status: int) -> web.Response:
    """Return the error body that goes with a status."""
    return error(status, *_REFUSALS.get(status, ("InternalError", "Internal server error!")))
