from __future__ import annotations

import pytest

from asrgateway_server.errors import (
    GatewayError,
    Overloaded,
    Unauthenticated,
    UpstreamEnded,
    UpstreamLost,
    UpstreamRefused,
)
from asrgateway_server.metrics import COMMON_CODES
from asrgateway_server.vendors.dashscope.error_codes import (
    close_error,
    code_family,
    error_for,
    for_callers_key,
    handshake_error,
)


@pytest.mark.parametrize(
    ("code", "family"),
    [
        ("Throttling", "Throttling"),
        ("Throttling.RateQuota", "Throttling"),
        ("limit_requests", "Throttling"),
        ("HTTP 429", "Throttling"),
        ("HTTP 401", "InvalidApiKey"),
        ("HTTP 503", "http"),
        ("close 1011", "close"),
        ("Model.AccessDenied", "ModelNotFound"),
        ("", "none"),
        ("what nobody has seen", "other"),
    ],
)
def test_a_code_counts_as_one_of_few(code: str, family: str) -> None:
    assert code_family(code) == family


def test_what_is_not_known_counts_as_metrics_expect_it_of_every_vendor() -> None:
    assert {code_family(""), code_family("what nobody has seen")} <= set(COMMON_CODES)


# With the caller's own key ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["InvalidApiKey", "invalid_api_key", "HTTP 401", "HTTP 403"])
def test_a_rejected_key_that_is_the_callers_own_is_the_callers_to_mend(code: str) -> None:
    error = for_callers_key(UpstreamRefused("the gateway's key", upstream_code=code, upstream_request_id="task-1"))
    assert type(error) is Unauthenticated
    assert (error.field, error.upstream_code, error.upstream_request_id) == ("x-dashscope-api-key", code, "task-1")
    assert "gateway" not in error.message


@pytest.mark.parametrize("code", ["Arrearage", "Model.AccessDenied", "ModelNotFound"])
def test_a_refused_account_of_the_callers_is_not_called_the_gateways(code: str) -> None:
    error = for_callers_key(error_for(code, "", "task-1"))
    assert type(error) is UpstreamRefused
    assert "gateway" not in error.message


@pytest.mark.parametrize("code", ["InvalidParameter", "Throttling.RateQuota", "InternalError", "HTTP 503"])
def test_other_errors_have_nothing_to_do_with_the_key(code: str) -> None:
    error = error_for(code, "", "task-1")
    assert for_callers_key(error) is error


@pytest.mark.parametrize(
    ("status", "means"),
    [
        (401, UpstreamRefused),
        (403, UpstreamRefused),
        (429, Overloaded),
        (500, UpstreamLost),
        (503, UpstreamLost),
        (200, UpstreamLost),
    ],
)
def test_a_refused_handshake_means_what_its_status_says(status: int, means: type[GatewayError]) -> None:
    error = handshake_error(status)
    assert type(error) is means
    assert error.upstream_code == f"HTTP {status}"


@pytest.mark.parametrize(
    ("code", "means", "shown"),
    [
        (None, UpstreamLost, ""),
        (1000, UpstreamEnded, "close 1000"),
        (1006, UpstreamLost, "close 1006"),
        (1007, UpstreamRefused, "close 1007"),
    ],
)
def test_a_closed_connection_means_what_its_code_says(code: int | None, means: type[GatewayError], shown: str) -> None:
    error = close_error(code)
    assert (type(error), error.upstream_code) == (means, shown)
