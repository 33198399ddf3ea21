"""Queries of panels, as Grafana sends them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

#: What Grafana puts in the place of its variables.
VARIABLES: Final = {
    "$__rate_interval": "1m",
    "$__range": "1h",
    "$cluster": ".*",
    "$namespace": ".*",
    "$job": ".*",
    "$pod": ".*",
    "$model": ".*",
}


def filled_in(query: str, others: Mapping[str, str] | None = None) -> str:
    """Return a query without variables; ``others`` win over the usual values."""
    for name, value in (VARIABLES | dict(others or {})).items():
        query = query.replace(name, value)
    if "$" in query:
        raise ValueError(f"Grafana knows no such variable: {query}")
    return query
