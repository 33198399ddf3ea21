"""The models of the emulator: a table of its own, so that the gateway's catalogue is not tested by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType
from typing import Final


class Shape(Enum):
    """Which fields the results of a family of models have."""

    PARAFORMER = auto()
    FUN_ASR = auto()
    QWEN_AUDIO = auto()
    QWEN_AUDIO_TOKENS = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model of dialect A.

    Attributes:
        shape: Which fields its results have.
        rates_hertz: The sample rates it knows; empty = any.
        has_heartbeat: It honours ``parameters.heartbeat``.
        has_emotion: Its finals carry an emotion.
        interims_on_request: Interim results need ``intermediate_result_enabled``.
        sentence_silence_ms: Its default of ``max_sentence_silence``.
    """

    shape: Shape
    rates_hertz: tuple[int, ...] = ()
    has_heartbeat: bool = True
    has_emotion: bool = False
    interims_on_request: bool = False
    sentence_silence_ms: int = 1300

    @property
    def is_qwen_audio(self) -> bool:
        """Whether it is one of the Qwen-Audio family."""
        return self.shape in (Shape.QWEN_AUDIO, Shape.QWEN_AUDIO_TOKENS)


_FUN_ASR: Final = Model(shape=Shape.FUN_ASR)
_PARAFORMER: Final = Model(shape=Shape.PARAFORMER, sentence_silence_ms=800)

# Source: Model Studio, "Real-time speech recognition" and the pages of the model families; where they
# disagree about the rate, any rate.
TASK_MODELS: Final[Mapping[str, Model]] = MappingProxyType(
    {
        "paraformer-realtime-v2": _PARAFORMER,
        "paraformer-realtime-v1": Model(shape=Shape.PARAFORMER, rates_hertz=(16_000,), has_heartbeat=False),
        "paraformer-realtime-8k-v2": Model(
            shape=Shape.PARAFORMER, rates_hertz=(8_000,), has_emotion=True, sentence_silence_ms=800
        ),
        "paraformer-realtime-8k-v1": Model(shape=Shape.PARAFORMER, rates_hertz=(8_000,), has_heartbeat=False),
        "fun-asr-realtime": _FUN_ASR,
        "fun-asr-realtime-2026-02-28": _FUN_ASR,
        "fun-asr-realtime-2025-11-07": _FUN_ASR,
        "fun-asr-realtime-2025-09-15": Model(shape=Shape.FUN_ASR, rates_hertz=(16_000,)),
        "fun-asr-flash-8k-realtime": Model(shape=Shape.FUN_ASR, rates_hertz=(8_000,)),
        "fun-asr-flash-8k-realtime-2026-01-28": Model(shape=Shape.FUN_ASR, rates_hertz=(8_000,)),
        "qwen-audio-3.0-asr-flash-streaming": Model(shape=Shape.QWEN_AUDIO),
        "qwen-audio-3.1-asr-flash-streaming": Model(shape=Shape.QWEN_AUDIO_TOKENS),
        "qwen-audio-3.1-asr-flash-message": Model(
            shape=Shape.QWEN_AUDIO_TOKENS, rates_hertz=(16_000,), interims_on_request=True
        ),
    }
)

SESSION_MODELS: Final = frozenset(
    {
        "qwen3-asr-flash-realtime",
        "qwen3-asr-flash-realtime-2025-10-27",
        "qwen3-asr-flash-realtime-2026-02-10",
    }
)
