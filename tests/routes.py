"""Routes to backends of tests."""

from __future__ import annotations

from asrgateway_server.backends.base import Backend
from asrgateway_server.backends.circuit_breaker import CircuitBreaker, CircuitLimits
from asrgateway_server.backends.route import Candidate, Route
from asrgateway_server.models import Model


def route_to(model: Model, backend: Backend, *others: tuple[Model, Backend]) -> Route:
    """A route of one model or more, each behind a circuit of its own."""
    candidates = ((model, backend), *others)
    return Route(
        tuple(Candidate(model=one, backend=way, circuit=CircuitBreaker(CircuitLimits())) for one, way in candidates)
    )
