"""Asks a running gateway which models it does not call at the moment."""

from __future__ import annotations

from http.client import HTTPException
from typing import Final
from urllib.request import ProxyHandler, build_opener

from prometheus_client.parser import text_string_to_metric_families

from asrgateway_server.settings import Address, SettingsError

_ANSWER_SECONDS: Final = 5.0
_METRIC: Final = "asrgateway_upstream_circuit_open"


def open_circuits(http: Address) -> frozenset[str]:
    """Return the models whose circuit is open, from the metrics on a gateway's HTTP port.

    Raises:
        SettingsError: No gateway answers there.
    """
    url = f"http://{http}/metrics"
    try:
        with build_opener(ProxyHandler({})).open(url, timeout=_ANSWER_SECONDS) as response:
            families = list(text_string_to_metric_families(response.read().decode()))
    except (OSError, HTTPException, ValueError):
        raise SettingsError(f"no gateway answers at {url}; name its http_listen, such as 127.0.0.1:9464") from None
    samples = [sample for family in families for sample in family.samples if sample.name == _METRIC]
    return frozenset(sample.labels["model"] for sample in samples if sample.value)
