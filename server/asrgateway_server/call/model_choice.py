"""Which model of the call's route recognizes, and whether it may be reached."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import replace
from typing import Final

from asrgateway_server.backends.circuit_breaker import Start
from asrgateway_server.backends.route import Candidate, Route
from asrgateway_server.call.options import unsupported_options
from asrgateway_server.call.other_model import for_model
from asrgateway_server.config import Adaptation, RecognitionConfig
from asrgateway_server.errors import UnsupportedOption, UpstreamUnavailable
from asrgateway_server.events import OptionWarning
from asrgateway_server.metrics import Metrics
from asrgateway_server.models import Model

# A route without a model that may be reached is waited for; its circuits let one call try after 10 s.
_LONGEST_WAIT_SECONDS: Final = 30.0

_CALLS: Final = itertools.count()


class ModelChoice:
    """The model of one call, of those that know its languages.

    Attributes:
        candidate: The model that recognizes now.

    Args:
        route: The models that the client asked for.
        config: The call's config, for the first of them that knows its languages.
        metrics: Count failovers.
    """

    def __init__(self, route: Route, config: RecognitionConfig, metrics: Metrics) -> None:
        self._route = route.hearing(config.language_codes)
        self._asked = config
        self._config = config
        self._metrics = metrics
        self._call = str(next(_CALLS))
        self._start: Start | None = None
        self.candidate = self._route.candidates[0]
        if not self.may_start and (other := self.other()):
            self.candidate = other

    @property
    def model(self) -> Model:
        """The model that recognizes now."""
        return self.candidate.model

    def config(self, adaptation: Adaptation, *, needs_words: bool) -> RecognitionConfig:
        """Return the config for the model, with an adaptation; the same one while nothing changes."""
        asked = self._asked
        if (
            self._config.model is not self.model
            or asked.adaptation is not adaptation
            or needs_words != asked.needs_words
        ):
            self._asked = replace(asked, adaptation=adaptation, needs_words=needs_words)
            self._config, _ = self._for(self.candidate)
        return self._config

    @property
    def warnings(self) -> tuple[OptionWarning, ...]:
        """What the model ignores or changes of what the client asks for; raise UnsupportedOption if it may not."""
        return self._for(self.candidate)[1]

    def other(self) -> Candidate | None:
        """Return the model that would take over now; None if there is none."""
        others = self._route.after(self.candidate, time.monotonic())
        return next((other for other in others if self._is_allowed(other)), None)

    def fail_over(self) -> None:
        """Let another model take over; there must be one."""
        other = self.other()
        if other is None:
            raise RuntimeError("no other model may start a task")
        self._metrics.failovers.labels(self.model.name, other.model.name).inc()
        self.candidate = other

    def _is_allowed(self, candidate: Candidate) -> bool:
        try:
            self._for(candidate)
        except UnsupportedOption:
            return False
        return True

    def _for(self, candidate: Candidate) -> tuple[RecognitionConfig, tuple[OptionWarning, ...]]:
        if candidate.model is self._asked.model:
            return self._asked, unsupported_options(self._asked)
        return for_model(self._asked, candidate.model)

    # The circuit ------------------------------------------------------------------------------------------------

    @property
    def may_start(self) -> bool:
        """Whether a task may start at the model."""
        return self.candidate.circuit.may_start(time.monotonic())

    async def wait(self) -> None:
        """Wait until a task may start at some model of the route.

        Raises:
            UpstreamUnavailable: It takes too long.
        """
        give_up_at = time.monotonic() + _LONGEST_WAIT_SECONDS
        while (now := time.monotonic()) < give_up_at:
            start_at = self._route.next_start_at(now)
            if start_at <= now:
                return
            await asyncio.sleep(min(start_at, give_up_at) - now)
        raise UpstreamUnavailable(
            "no model that the call may use can be reached; try again", retry_after_seconds=_LONGEST_WAIT_SECONDS
        )

    def begin(self) -> None:
        """Note that a task starts."""
        self._start = self.candidate.circuit.begin(self._call)

    def succeeded(self) -> None:
        """Note that the upstream has answered it."""
        if self._start:
            self.candidate.circuit.succeeded(self._start, time.monotonic())
            self._start = None

    def ended(self, *, is_lost: bool) -> None:
        """Note that the task has ended; one that was lost before an answer counts against the model."""
        if self._start is None:
            return
        if is_lost:
            self.candidate.circuit.failed(self._start, time.monotonic())
        else:
            self.candidate.circuit.abandoned(self._start)
        self._start = None
