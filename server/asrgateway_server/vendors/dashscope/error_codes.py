"""What the vendor's error codes mean for a call.

Only the code is passed on: the vendor's own sentence may quote a key or a hot word.

Source: Model Studio manual, "error codes"; the codes without a page were seen by users.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from asrgateway_server.errors import (
    GatewayError,
    Overloaded,
    Unauthenticated,
    UndecodableAudio,
    UpstreamEnded,
    UpstreamLost,
    UpstreamRefused,
    UpstreamUnavailable,
)
from asrgateway_server.vendors.dashscope.caller_key import CALLER_KEY

#: The vendor's code for one hot-word table too many.
TABLE_QUOTA: Final = "Throttling.AllocationQuota"
_REJECTED_KEY: Final = "rejected the gateway's key or its right to the workspace"

MakeError = Callable[..., GatewayError]

_KEY: Final = partial(UpstreamRefused, "the vendor rejected the gateway's key; its operator must set a valid one")
_ACCOUNT: Final = partial(UpstreamRefused, "the vendor refused the gateway's account; its operator must look at it")
_MODEL: Final = partial(UpstreamRefused, "the vendor does not offer this model to the gateway's account")
_PARAMETER: Final = partial(UpstreamRefused, "the vendor rejected a parameter of the task", is_about_request=True)
_CONTENT: Final = partial(UpstreamRefused, "the vendor's content inspection ended the task", is_about_request=True)
_THROTTLED: Final = partial(
    Overloaded, "the vendor limits the rate of new tasks; try again later", retry_after_seconds=5.0
)
_AUDIO: Final = partial(UndecodableAudio, "the vendor found no speech that it could decode", field="audio")
_LOST: Final = partial(UpstreamLost, "the vendor ended the task")
_ENDED: Final = partial(UpstreamEnded, "the vendor ended the task at a limit of its own")

# A code stands for itself and for what follows it behind a dot: `Throttling` for `Throttling.RateQuota`.
_ERRORS: Final[Mapping[str, MakeError]] = {
    "InvalidApiKey": _KEY,
    "invalid_api_key": _KEY,
    "invalid access token or token expired": _KEY,
    "NOT AUTHORIZED": _KEY,
    "Arrearage": _ACCOUNT,
    "AccessDenied": _ACCOUNT,
    "Workspace": _ACCOUNT,
    "App": _ACCOUNT,
    "WorkSpaceNotFound": _ACCOUNT,
    "AllocationQuota": _ACCOUNT,
    "CommodityNotPurchased": _ACCOUNT,
    "PrepaidBillOverdue": _ACCOUNT,
    "PostpaidBillOverdue": _ACCOUNT,
    "Model": _MODEL,
    "Endpoint": _MODEL,
    "ModelNotFound": _MODEL,
    "model_not_found": _MODEL,
    "InvalidParameter": _PARAMETER,
    "Missing required parameter": _PARAMETER,
    "Invalid payload data": _PARAMETER,
    "BadRequest": _PARAMETER,
    "NotFound": _PARAMETER,
    "Conflict": _PARAMETER,
    "invalid_value": _PARAMETER,
    "DataInspectionFailed": _CONTENT,
    "data_inspection_failed": _CONTENT,
    "Throttling": _THROTTLED,
    "LimitRequests": _THROTTLED,
    "limit_requests": _THROTTLED,
    "limit_burst_rate": _THROTTLED,
    "insufficient_quota": _THROTTLED,
    "RequestTimeOut": _ENDED,
    "NO_VALID_AUDIO_ERROR": _AUDIO,
    "NO_INPUT_AUDIO_ERROR": _AUDIO,
    "UNSUPPORTED_FORMAT": _AUDIO,
    "DECODE_ERROR": _AUDIO,
}

_CALLERS_KEY: Final = partial(
    Unauthenticated, "the vendor rejected the key that came with the call, or its workspace", field=CALLER_KEY
)
#: What becomes of an error where the key is the caller's own.
_FOR_CALLERS: Final[Mapping[MakeError, MakeError]] = {
    _KEY: _CALLERS_KEY,
    _ACCOUNT: partial(UpstreamRefused, "the vendor refused the account of the key that came with the call"),
    _MODEL: partial(UpstreamRefused, "the vendor does not offer this model to the key that came with the call"),
}

# The manual files this limit under two codes, one of which otherwise means a wrong parameter.
_NO_DATA: Final = "request timeout after"

# What codes count as in metrics, by the code itself or what stands before its first dot or blank; all others count as
# one. Two codes that mean the same count together.
_FAMILIES: Final[Mapping[str, str]] = {
    **{code: code for code in ("AccessDenied", "Arrearage", "DataInspectionFailed", "InternalError", "InvalidApiKey")},
    **{code: code for code in ("InvalidParameter", "ModelNotFound", "Throttling")},
    "": "none",
    "HTTP 401": "InvalidApiKey",
    "HTTP 403": "AccessDenied",
    "HTTP 429": "Throttling",
    "HTTP": "http",
    "LimitRequests": "Throttling",
    "Model": "ModelNotFound",
    "close": "close",
    "data_inspection_failed": "DataInspectionFailed",
    "insufficient_quota": "Throttling",
    "invalid_api_key": "InvalidApiKey",
    "limit_burst_rate": "Throttling",
    "limit_requests": "Throttling",
    "model_not_found": "ModelNotFound",
}
_OTHER_FAMILY: Final = "other"
#: What metrics show: the beginning of the vendor's code, `http` for the status of a refused handshake, `close` for the
#: code of a closed connection, `none` for a connection that was lost without one.
FAMILIES: Final = tuple(sorted({*_FAMILIES.values()}))


def code_family(code: str) -> str:
    """Return what a code, as errors hold it, counts as: one of a small closed set."""
    first = code.partition(".")[0].partition(" ")[0]
    return _FAMILIES.get(code) or _FAMILIES.get(first, _OTHER_FAMILY)


def error_for(code: str, message: str, request_id: str) -> GatewayError:
    """Return the error that a vendor's code ends a connection with; an unknown one may pass by itself.

    Args:
        code: As the vendor wrote it.
        message: The vendor's sentence; read, and never passed on.
        request_id: The vendor's name for the task.
    """
    means = _ENDED if message.startswith(_NO_DATA) else _meaning(code)
    return means(upstream_code=code[:64], upstream_request_id=request_id)


def for_callers_key(error: GatewayError) -> GatewayError:
    """Return what a vendor's error means where the key that it blames is the caller's own."""
    is_handshake = error.upstream_code in {"HTTP 401", "HTTP 403"}
    means = _CALLERS_KEY if is_handshake else _FOR_CALLERS.get(_meaning(error.upstream_code))
    if means is None:
        return error
    return means(upstream_code=error.upstream_code, upstream_request_id=error.upstream_request_id)


def _meaning(code: str) -> MakeError:
    return _ERRORS.get(code) or _ERRORS.get(code.partition(".")[0], _LOST)


# A server that is done, goes away or fails closes so, says RFC 6455; which of them this vendor uses is not known.
_ENDINGS: Final = (1000, 1001, 1011)
# Source: tests of users; the model's name stands in the URL of the realtime dialect.
_MODEL_NOT_FOUND: Final = 1007


def handshake_error(status: int) -> GatewayError:
    """Return what a handshake's HTTP status means."""
    code = f"HTTP {status}"
    match status:
        case 401 | 403:
            return UpstreamRefused(
                f"the vendor {_REJECTED_KEY}; its operator must look at it",
                upstream_code=code,
            )
        case _ if 300 <= status < 400:
            return UpstreamRefused(
                "the vendor sends the gateway to another address, which it does not follow; its operator must look at "
                "the url",
                upstream_code=code,
            )
        case 429:
            return Overloaded(
                "the vendor limits the rate of new connections; try again later",
                retry_after_seconds=5.0,
                upstream_code=code,
            )
        case _:
            return UpstreamLost(f"the vendor refused the connection with HTTP status {status}", upstream_code=code)


def close_error(code: int | None) -> GatewayError:
    """Return what it means that a connection was closed too soon."""
    if code == _MODEL_NOT_FOUND:
        return UpstreamRefused("the vendor does not know the model", upstream_code=f"close {code}")
    if code in _ENDINGS:
        return UpstreamEnded("the vendor closed the connection", upstream_code=f"close {code}")
    return UpstreamLost("the vendor closed the connection too soon", upstream_code=f"close {code}" if code else "")


def hotword_error(status: int, code: object, request_id: object) -> GatewayError:
    """Return what an answer of the hot-word services means: they are asked once, and no call ends with them."""
    kind, sentence, retry_after_seconds = _hotword_meaning(status, code)
    return kind(
        sentence,
        retry_after_seconds=retry_after_seconds,
        upstream_code=str(code or f"HTTP {status}"),
        upstream_request_id=str(request_id or ""),
    )


def _hotword_meaning(status: int, code: object) -> tuple[type[GatewayError], str, float | None]:
    """Return what a status means: the error, its sentence, and when another try may help."""
    if code == TABLE_QUOTA:
        return UpstreamRefused, "the account has as many hot-word tables as the vendor allows", None
    match status:
        case 401 | 403:
            return UpstreamRefused, f"the vendor's hot-word service {_REJECTED_KEY}", None
        case 429:
            return UpstreamUnavailable, "the vendor's hot-word service limits the rate of requests", 5.0
        case _ if status >= 500:
            return UpstreamUnavailable, "the vendor's hot-word service failed", 1.0
        case _:
            return UpstreamRefused, "the vendor's hot-word service rejected the request", None
