"""Which models a call may use, in which order, and which of them can be reached at the moment."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import permutations

from asrgateway_server.backends.base import Backend
from asrgateway_server.backends.circuit_breaker import CircuitBreaker, CircuitLimits
from asrgateway_server.languages import knows_any
from asrgateway_server.metrics import Metrics
from asrgateway_server.models import Catalogue, Model


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """One model of a route.

    Attributes:
        model: The model.
        backend: Reaches it.
        circuit: Says whether a task may start there; that of all routes and calls.
    """

    model: Model
    backend: Backend
    circuit: CircuitBreaker


@dataclass(frozen=True, slots=True)
class Route:
    """The models that can serve a call, the preferred one first; there is always one.

    Attributes:
        candidates: In the order in which a call tries them.
    """

    candidates: tuple[Candidate, ...]

    def hearing(self, language_codes: Collection[str]) -> Route:
        """Return the route without the models that know none of a call's languages; the same if none knows any."""
        hearing = tuple(one for one in self.candidates if knows_any(one.model, language_codes))
        return Route(hearing) if hearing else self

    def first(self, now: float) -> Candidate | None:
        """Return the first model where a task may start; None if there is none at the moment."""
        return next((one for one in self.candidates if one.circuit.may_start(now)), None)

    def after(self, candidate: Candidate, now: float) -> tuple[Candidate, ...]:
        """Return the other models where a task may start: those behind this one, then those before it."""
        place = self.candidates.index(candidate)
        others = self.candidates[place + 1 :] + self.candidates[:place]
        return tuple(one for one in others if one.circuit.may_start(now))

    def next_start_at(self, now: float) -> float:
        """Return when it is worth asking again where a task may start; ``now`` if it may."""
        return min(one.circuit.next_start_at(now) for one in self.candidates)


class Routes:
    """The routes of a gateway. A model has one circuit, however many routes lead to it."""

    def __init__(
        self, catalogue: Catalogue, backends: Mapping[str, Backend], limits: CircuitLimits, metrics: Metrics
    ) -> None:
        self._catalogue = catalogue
        self._candidates = {
            name: Candidate(model=model, backend=backends[model.backend], circuit=CircuitBreaker(limits))
            for name, model in catalogue.models.items()
        }
        for name, candidate in self._candidates.items():
            _watch(candidate.circuit, name, metrics)
        for names in catalogue.aliases.values():
            metrics.expect_failovers(permutations(names, 2))

    def find(self, name: str) -> Route:
        """Return the route that a client means; the default one for an empty name.

        Raises:
            UnknownModel: Nothing has that name.
        """
        return Route(tuple(self._candidates[model.name] for model in self._catalogue.find_route(name)))


def _watch(circuit: CircuitBreaker, model: str, metrics: Metrics) -> None:
    metrics.watch_circuit(model, lambda: not circuit.may_start(time.monotonic()))
