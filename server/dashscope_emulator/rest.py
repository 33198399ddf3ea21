"""The vendor's errors over HTTP: as exceptions, and as the bodies they become."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from aiohttp import web

# Source: Model Studio, "Error codes".
_ERRORS: Final[Mapping[int, tuple[str, str]]] = MappingProxyType(
    {
        401: ("InvalidApiKey", "Invalid API-key provided."),
        403: ("AccessDenied", "Access denied."),
        404: ("NotFound", "Not found!"),
        429: ("Throttling.RateQuota", "Requests rate limit exceeded, please try again later."),
        500: ("InternalError", "Internal server error!"),
        503: ("ModelUnavailable", "Model is unavailable, please try again later."),
    }
)


class RestError(Exception):
    """A request is refused.

    Args:
        status: HTTP status.
        code: Of the error body; the usual one of the status by default.
        message: Of the error body, likewise.
    """

    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        usual_code, usual_message = _ERRORS.get(status, _ERRORS[500])
        self.status = status
        self.code = code or usual_code
        self.message = message or usual_message
        super().__init__(f"{self.status} {self.code}: {self.message}")

    def response(self, status: int | None = None) -> web.Response:
        """Return the error as the vendor writes it, with its own status or this one."""
        body = {"code": self.code, "message": self.message, "request_id": str(uuid.uuid4())}
        return web.json_response(body, status=status or self.status)


def invalid(message: str) -> RestError:
    """Return the error for a request with a wrong value."""
    return RestError(400, "InvalidParameter", message)
