"""Who has to conform: each family's models, and what they cannot do by nature."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One model behind one transport.

    Attributes:
        model: As callers name it.
        rate: The rate at which it is spoken to, Hz.
        transport: What carries its messages.
        lacks: What it cannot do by nature: the caller gets a warning, or nothing where nothing was asked for.
    """

    model: str
    rate: int = 16_000
    transport: str = "websocket"
    lacks: frozenset[str] = field(default_factory=frozenset)

    def __str__(self) -> str:
        return f"{self.model}-{self.transport}"


WITHOUT_UPDATE: Final = frozenset({"update"})
WITHOUT_TIMES: Final = frozenset({"word times"})

SUBJECTS: Final = (
    Subject(model="paraformer-realtime-v2", lacks=WITHOUT_UPDATE),
    Subject(model="paraformer-realtime-8k-v2", rate=8000, lacks=WITHOUT_UPDATE),
    Subject(model="paraformer-realtime-v1", lacks=WITHOUT_UPDATE),
    Subject(model="paraformer-realtime-8k-v1", rate=8000, lacks=WITHOUT_UPDATE),
    Subject(model="fun-asr-realtime"),
    Subject(model="fun-asr-flash-8k-realtime", rate=8000, lacks=WITHOUT_UPDATE),
    Subject(model="qwen-audio-3.0-asr-flash-streaming"),
    Subject(model="qwen-audio-3.1-asr-flash-streaming"),
    # Without interim results, which are opt-in, nobody knows how long an utterance has been open.
    Subject(model="qwen-audio-3.1-asr-flash-message", lacks=frozenset({"update", "cut"})),
    Subject(model="qwen3-asr-flash-realtime", lacks=WITHOUT_TIMES),
    Subject(model="paraformer-realtime-v2", transport="official_sdk", lacks=WITHOUT_UPDATE),
    Subject(model="paraformer-realtime-8k-v1", rate=8000, transport="official_sdk", lacks=WITHOUT_UPDATE),
    Subject(model="fun-asr-realtime", transport="official_sdk"),
    Subject(model="qwen3-asr-flash-realtime", transport="official_sdk", lacks=WITHOUT_TIMES),
)
