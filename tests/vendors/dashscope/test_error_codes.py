from __future__ import annotations

import pytest

from asrgateway_server.errors import Unauthenticated, UpstreamRefused
from asrgateway_server.metrics import CALLERS_KEY, UPSTREAM_CODES
from asrgateway_server.vendors.dashscope.error_codes import _FAMILIES, code_family, error_for, for_callers_key


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


def test_metrics_know_every_family() -> None:
    assert {*_FAMILIES.values(), "other", CALLERS_KEY} == set(UPSTREAM_CODES)


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
