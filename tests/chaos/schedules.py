"""Random calls, and what goes wrong upstream while they last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hypothesis import strategies as st

from asrgateway.v1 import recognition_pb2 as pb
from dashscope_emulator import Fault
from dashscope_emulator.faults import Action, Close, Delay, Drop, Duplicate, Fail, Phase, Refuse, Stall, Throttle

PARAFORMER, FUN_ASR, QWEN3_ASR = "paraformer-realtime-v2", "fun-asr-realtime", "qwen3-asr-flash-realtime"
MODELS: Final = (PARAFORMER, FUN_ASR, QWEN3_ASR)
ROUTES: Final = {
    "paraformer-first": (PARAFORMER, QWEN3_ASR),
    "fun-asr-first": (FUN_ASR, PARAFORMER),
    "qwen3-asr-first": (QWEN3_ASR, FUN_ASR),
}
RETRYABLE_CODES: Final = (
    "InternalError",
    "InternalError.Algo",
    "InternalError.Timeout",
    "SystemError",
    "ModelServiceFailed",
    "ModelUnavailable",
    "ServiceUnavailable",
    "RequestTimeOut",
    "CLIENT_ERROR",
    "Throttling",
    "Throttling.RateQuota",
    "limit_requests",
)
CLOSE_CODES: Final = (1000, 1001, 1011, 1012, 1013)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """What a client sends, and does after it.

    Attributes:
        words: How many words it says, each of 0.3 s.
        silence_ms: Silence in its audio after them.
        commits: How many commits follow.
        has_update: An update follows, where the model takes one.
        pause_seconds: It then sends nothing for so long.
    """

    words: int
    silence_ms: int
    commits: int
    has_update: bool
    pause_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """One call.

    Attributes:
        model: Of which family, or the route to two of them.
        sentences: What is said.
        wants_interims: The client asks for interim results.
        wants_words: The client asks for the times of words, where the model has them.
        message_ms: How much audio a message has.
        policy: What is done while the client is quiet.
        read_pause_seconds: How long the client waits before it reads each response.
        faults: What goes wrong.
        is_separate: Two channels are recognised apart: in the second one other words follow each silence.
    """

    model: str
    sentences: tuple[Sentence, ...]
    wants_interims: bool
    wants_words: bool
    message_ms: int
    policy: pb.KeepAlivePolicy.ValueType
    read_pause_seconds: float
    faults: tuple[Fault, ...]
    is_separate: bool

    @property
    def channels(self) -> tuple[int, ...]:
        """The channels of its audio."""
        return (0, 1) if self.is_separate else (0,)


_ENDINGS: Final[st.SearchStrategy[Action]] = st.one_of(
    st.just(Drop()),
    st.builds(Close, code=st.sampled_from(CLOSE_CODES)),
    st.builds(Fail, code=st.sampled_from(RETRYABLE_CODES)),
)
_DISTURBANCES: Final[st.SearchStrategy[Action]] = st.one_of(
    st.builds(Duplicate, count=st.integers(1, 5)),
    st.just(Stall(seconds=0.3)),
    st.just(Stall()),
)
_AT_ONE_MODEL: Final = st.sampled_from(("", "", *MODELS))
_IN_SPEECH: Final = st.builds(
    Fault,
    model=_AT_ONE_MODEL,
    action=st.one_of(_ENDINGS, _ENDINGS, _DISTURBANCES),
    phase=st.just(Phase.SPEECH),
    audio_ms=st.integers(0, 6_000),
    times=st.integers(1, 3),
)
_AT_THE_START: Final = st.builds(
    Fault,
    model=_AT_ONE_MODEL,
    action=st.one_of(_ENDINGS, st.just(Stall()), st.just(Throttle())),
    phase=st.just(Phase.START),
    times=st.sampled_from((1, 2, 3, 0)),
)
_AT_THE_END: Final = st.builds(
    Fault, action=st.one_of(_ENDINGS, st.just(Stall())), phase=st.just(Phase.FINISH), times=st.integers(1, 3)
)
_AT_THE_HANDSHAKE: Final = st.builds(
    Fault,
    action=st.one_of(st.builds(Refuse, status=st.sampled_from((429, 500, 502, 503))), st.just(Drop())),
    phase=st.just(Phase.HANDSHAKE),
    times=st.integers(1, 3),
)
_LATE: Final = st.builds(
    Fault,
    action=st.builds(Delay, delay_ms=st.integers(0, 100), jitter_ms=st.integers(0, 50)),
    phase=st.just(Phase.START),
    times=st.integers(1, 3),
)
_SENTENCES: Final = st.builds(
    Sentence,
    words=st.integers(1, 8),
    silence_ms=st.sampled_from((0, 300, 900, 1_500)),
    commits=st.sampled_from((0, 0, 0, 1, 1, 2)),
    has_update=st.sampled_from((False, False, False, True)),
    pause_seconds=st.sampled_from((0.0, 0.0, 0.0, 0.0, 0.4)),
)

SCHEDULES: Final = st.builds(
    Schedule,
    model=st.sampled_from((*MODELS, *ROUTES)),
    sentences=st.lists(_SENTENCES, min_size=1, max_size=5).map(tuple),
    wants_interims=st.booleans(),
    wants_words=st.booleans(),
    message_ms=st.sampled_from((20, 100, 250, 512)),
    policy=st.sampled_from((pb.KEEP_ALIVE_POLICY_INJECT, pb.KEEP_ALIVE_POLICY_HIBERNATE, pb.KEEP_ALIVE_POLICY_OFF)),
    read_pause_seconds=st.sampled_from((0.0, 0.0, 0.0, 0.01)),
    faults=st.lists(
        st.one_of(_IN_SPEECH, _IN_SPEECH, _IN_SPEECH, _AT_THE_START, _AT_THE_END, _AT_THE_HANDSHAKE, _LATE), max_size=4
    ).map(tuple),
    is_separate=st.sampled_from((False, False, False, True)),
)
