"""Which model of the call's route recognizes, and whether it may be reached."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from asrgateway_server.backends.base import Lost, TaskEnd
from asrgateway_server.backends.circuit_breaker import Start
from asrgateway_server.backends.route import Candidate, Route
from asrgateway_server.call.options import unsupported_options
from asrgateway_server.call.other_model import for_model
from asrgateway_server.config import Adaptation, RecognitionConfig
from asrgateway_server.errors import UnsupportedOption, UpstreamLost, UpstreamUnavailable
from asrgateway_server.events import OptionWarning
from asrgateway_server.metrics import Metrics
from asrgateway_server.models import Model

# A route without a model that may be reached is waited for; its circuits let one call try after 10 s.
_LONGEST_WAIT_SECONDS: Final = 30.0
_SHORTEST_WAIT_SECONDS: Final = 0.01

_CALLS: Final = itertools.count()


class ModelChoice:
    """The model of one call, of those that know its languages.

    Attributes:
        candidate: The model that recognizes now.

    Args:
        route: The models that the client asked for.
        config: The call's config, for the first of them that knows its languages.
        adaptation: Returns the adaptation that is in force.
        metrics: Count failovers.
    """

    def __init__(
        self, route: Route, config: RecognitionConfig, adaptation: Callable[[], Adaptation], metrics: Metrics
    ) -> None:
        self._route = route.hearing(config.language_codes)
        self._asked = config
        self._adaptation = adaptation
        self._metrics = metrics
        self._call = str(next(_CALLS))
        self._starts: dict[Candidate, Start] = {}
        self._waiting_since: float | None = None
        self.candidate = self._route.candidates[0]
        self._config = config
        if not self.may_start and (other := self.other()):
            self.candidate = other

    @property
    def model(self) -> Model:
        """The model that recognizes now."""
        return self.candidate.model

    def config(self, *, needs_words: bool) -> RecognitionConfig:
        """Return the config for the model; the same one while nothing changes."""
        adaptation, known = self._adaptation(), self._asked
        is_known = adaptation is known.adaptation and needs_words == known.needs_words
        if not is_known or self._config.model is not self.model:
            self._asked = replace(known, adaptation=adaptation, needs_words=needs_words)
            self._config, _ = self._for(self.candidate)
        return self._config

    def config_of(self, other: Candidate) -> RecognitionConfig:
        """Return the config for another model; raise UnsupportedOption if the client does not want it so."""
        return self._for(other)[0]

    @property
    def warnings(self) -> tuple[OptionWarning, ...]:
        """What the model ignores or changes of what the client asks for; raise UnsupportedOption if it may not."""
        return self._for(self.candidate)[1]

    def other(self) -> Candidate | None:
        """Return the model that would take over now; None if there is none."""
        others = self._route.after(self.candidate, time.monotonic())
        return next((other for other in others if self._is_allowed(other)), None)

    def fail_over(self, other: Candidate) -> None:
        """Let another model take over."""
        self._metrics.failovers.labels(self.model.name, other.model.name).inc()
        self.candidate = other

    def _is_allowed(self, candidate: Candidate) -> bool:
        try:
            self._for(candidate)
        except UnsupportedOption:
            return False
        return True

    def _for(self, candidate: Candidate) -> tuple[RecognitionConfig, tuple[OptionWarning, ...]]:
        adaptation = self._adaptation()
        asked = self._asked if adaptation is self._asked.adaptation else replace(self._asked, adaptation=adaptation)
        if candidate.model is asked.model:
            return asked, unsupported_options(asked)
        return for_model(asked, candidate.model)

    # The circuit ------------------------------------------------------------------------------------------------

    @property
    def may_start(self) -> bool:
        """Whether a task may start at the model."""
        return self.candidate.circuit.may_start(time.monotonic())

    async def wait(self) -> None:
        """Wait until it is worth asking again whether a task may start at some model that the call may use.

        Raises:
            UpstreamUnavailable: The call has waited for too long.
        """
        now = time.monotonic()
        self._waiting_since = now if self._waiting_since is None else self._waiting_since
        left_seconds = self._waiting_since + _LONGEST_WAIT_SECONDS - now
        if left_seconds <= 0:
            raise UpstreamUnavailable(
                "no model that the call may use can be reached; try again", retry_after_seconds=_LONGEST_WAIT_SECONDS
            )
        usable = [one for one in self._route.candidates if one is self.candidate or self._is_allowed(one)]
        start_at = min(one.circuit.next_start_at(now) for one in usable)
        await asyncio.sleep(min(max(start_at - now, _SHORTEST_WAIT_SECONDS), left_seconds))

    def begin(self) -> None:
        """Note that a task starts, unless it is the one that ``hedge`` has noted."""
        self._waiting_since = None
        if self.candidate not in self._starts:
            self._starts[self.candidate] = self.candidate.circuit.begin(self._call)

    def succeeded(self) -> None:
        """Note that the upstream has answered it."""
        if start := self._starts.pop(self.candidate, None):
            self.candidate.circuit.succeeded(start, time.monotonic())

    def ended(self, end: TaskEnd | None, candidate: Candidate | None = None) -> None:
        """Note that a task has ended; one that was lost before an answer counts against the model.

        One for which there was no room says nothing about the model.

        Args:
            end: How it ended; None: it was left.
            candidate: Whose task it was; None: that of the model that recognizes now.
        """
        candidate = candidate or self.candidate
        if (start := self._starts.pop(candidate, None)) is None:
            return
        if isinstance(end, Lost) and isinstance(end.error, UpstreamLost):
            candidate.circuit.failed(start, time.monotonic())
        else:
            candidate.circuit.abandoned(start)

    def hedge(self, other: Candidate) -> bool:
        """Note that a task of another model starts too; return False if it may not any more."""
        may_start = other.circuit.may_start(time.monotonic())
        if may_start:
            self._metrics.hedged_starts.labels(self.model.name, other.model.name).inc()
            self._starts[other] = other.circuit.begin(self._call)
        return may_start
