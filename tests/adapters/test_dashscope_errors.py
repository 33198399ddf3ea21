from __future__ import annotations

import pytest

from asrgateway_server.adapters.dashscope_errors import _FAMILIES, code_family
from asrgateway_server.metrics import UPSTREAM_CODES


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
    assert {*_FAMILIES.values(), "other"} == set(UPSTREAM_CODES)
