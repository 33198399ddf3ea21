"""The fault that fires each alert."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

from dashscope_emulator import Fault
from dashscope_emulator.faults import Delay, Drop, Fail, Phase, Refuse, Stall, Throttle
from observability.operator_scrape import JOBS
from observability.scenes import (
    V2,
    OpenScene,
    calls,
    calls_of_killed_workers,
    calls_of_stopped_workers,
    certificate,
    full,
    keys_file,
    killed,
    long_sentence,
    mostly_silence,
    one_call_and_more,
    open_call,
    process,
    rollout,
    sentence,
    stopped_time_and_again,
    terminated_in_a_call,
    two_speakers,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An alert, and the fault that fires it.

    Attributes:
        alert: The alert, without its prefix.
        fault: What goes wrong.
        scene: Where.
        times: How often the alert fires then, once for each monitor and window.
        seconds: How long that may take, on a busy machine.
        is_quick: It takes so little that every run of the tests has it.
    """

    alert: str
    fault: str
    scene: OpenScene
    times: int = len(JOBS)
    seconds: float = 120.0
    is_quick: bool = False

    def __str__(self) -> str:
        return f"{self.alert}: {self.fault}"


_REFUSED: Final = Fault(action=Refuse(status=503), phase=Phase.HANDSHAKE)
_LOST_AT_THE_START: Final = Fault(action=Drop(), phase=Phase.START, model=V2)

CASES: Final = (
    Case(
        alert="NoCapacity", fault="clients keep calling while the only stream is in use", scene=full(one_call_and_more)
    ),
    Case(alert="StreamSaturation", fault="the only stream is in use", scene=full(partial(open_call, model=V2))),
    Case(alert="UpstreamConnectFailing", fault="the vendor refuses every handshake with 503", scene=calls(_REFUSED)),
    Case(
        alert="UpstreamRefusesAccount",
        fault="the account is in arrears",
        scene=calls(Fault(action=Fail(code="Arrearage"), phase=Phase.START)),
    ),
    Case(
        alert="UpstreamThrottled",
        fault="the vendor limits the rate of every start",
        scene=calls(Fault(action=Throttle(), phase=Phase.START)),
    ),
    Case(
        alert="UpstreamFlapping",
        fault="every connection is reset after half a second of audio",
        scene=calls(Fault(action=Drop(), audio_ms=500), max_upstream_failures=5),
    ),
    Case(alert="CircuitOpen", fault="no connection to the vendor succeeds", scene=calls(_REFUSED, at_once=3)),
    Case(
        alert="RouteDegraded",
        fault="the preferred model loses every task before it begins",
        scene=calls(
            _LOST_AT_THE_START,
            requests=lambda: sentence("either"),
            aliases={"either": (V2, "fun-asr-realtime")},
            max_upstream_failures=5,
        ),
        is_quick=True,
    ),
    Case(
        alert="AudioLost",
        fault="a connection is reset after three seconds of one sentence, and the gateway keeps one",
        scene=calls(
            Fault(action=Drop(), audio_ms=3_000), requests=long_sentence, max_upstream_failures=5, replay_seconds=1
        ),
        is_quick=True,
    ),
    Case(
        alert="BacklogGrowing",
        fault="the vendor accepts no task for the second of two channels",
        scene=calls(
            Fault(action=Stall(), phase=Phase.START, tasks=(2,)), requests=two_speakers, at_once=1, backlog_speed=30
        ),
        is_quick=True,
    ),
    Case(
        alert="SlowerThanRealtime",
        fault="the embedded recogniser gets a quarter of the processor's time",
        scene=process(calls_of_stopped_workers),
    ),
    Case(
        alert="EventLoopLag",
        fault="the gateway is stopped for 0.4 s again and again, as a limit of the processor does it",
        scene=process(stopped_time_and_again),
    ),
    Case(
        alert="DrainCutStreams",
        fault="SIGTERM comes in a call that the drain does not wait for",
        scene=process(terminated_in_a_call, drain_seconds="0", drain_finalize_seconds="20", last_scrape_seconds="600"),
    ),
    Case(
        alert="DrainWillCutStreams",
        fault="SIGTERM comes in a call, with 100 s to drain",
        scene=process(terminated_in_a_call, drain_seconds="100"),
    ),
    Case(
        alert="WorkerRestarts",
        fault="every worker of the embedded recogniser is killed each second",
        scene=process(calls_of_killed_workers, embedded_workers="3"),
    ),
    Case(alert="VersionSkew", fault="a rollout stays half-way", scene=rollout, seconds=300),
    Case(alert="TargetDown", fault="a gateway is killed", scene=process(killed)),
    Case(alert="Absent", fault="the last gateway is killed", scene=process(killed), times=1),
    Case(
        alert="CertificateExpiringSoon",
        fault="the certificate is valid for another 13 days",
        scene=certificate,
        seconds=240,
    ),
    Case(
        alert="KeysFileBroken",
        fault="a key is added to the file as it is, not hashed",
        scene=keys_file,
        is_quick=True,
    ),
    Case(alert="CostRunRate", fault="two test clients are left running, with a budget of 5 CNY", scene=calls()),
    Case(
        alert="SilenceRatioHigh",
        fault="clients are quiet for most of their calls",
        scene=calls(requests=mostly_silence, at_once=3, quiet_after_seconds=0.1),
        seconds=180,
    ),
    Case(
        alert="ErrorBudgetBurn",
        fault="every task fails after half a second of audio",
        scene=calls(Fault(action=Fail(code="InternalError"), audio_ms=500)),
        times=4 * len(JOBS),
        seconds=400,
    ),
    Case(
        alert="LatencyBudgetBurn",
        fault="the vendor's results come 3 s late",
        scene=calls(Fault(action=Delay(delay_ms=3_000), phase=Phase.START), at_once=10),
        times=4 * len(JOBS),
        seconds=400,
    ),
)
