"""What reflection describes."""

from __future__ import annotations

import pytest

from asrgateway_server.grpc_api.reflected import pool_of
from asrgateway_server.metrics import RIVA_SERVICE, SERVICE
from asrgateway_server.riva_api import asr_pb2 as asr


@pytest.mark.parametrize(
    "symbol",
    [
        SERVICE,
        RIVA_SERVICE,
        "nvidia.riva.AudioEncoding",
        "google.rpc.BadRequest",
        "grpc.reflection.v1alpha.ErrorResponse",
    ],
)
def test_one_pool_describes_all_services_and_what_they_need(symbol: str) -> None:
    file = pool_of([asr.DESCRIPTOR]).FindFileContainingSymbol(symbol)
    assert symbol.startswith(file.package)


def test_a_service_that_is_not_served_is_not_described() -> None:
    with pytest.raises(KeyError):
        pool_of([]).FindFileContainingSymbol(RIVA_SERVICE)
