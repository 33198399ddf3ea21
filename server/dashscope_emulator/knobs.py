"""Knobs: one setting for each thing that no source states about the vendor, with the default that we chose.

``docs/emulator.md`` shows them as a table, which is made of this module.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from dashscope_emulator.documents import read_document

T = TypeVar("T")


def knob(default: T, meaning: str, vendor: str) -> T:
    """Declare a knob: its default, what it does, and what the vendor's documents say about it, or why it is there."""
    return field(default=default, metadata={"meaning": meaning, "vendor": vendor})


@dataclass(frozen=True, slots=True, kw_only=True)
class Knobs:
    """How the emulator behaves where the vendor's behaviour is unknown. ``_seconds`` are divided by ``time_scale``."""

    missing_key_status: int = knob(401, "HTTP status of a handshake without a key.", "401 or 403; not which for what.")
    bad_key_status: int = knob(401, "HTTP status of a handshake with a wrong key or an expired token.", "As above.")
    expired_token_closes: bool = knob(
        False,
        "Whether a connection is closed (1008) when the token expires that opened it.",
        "The key is checked at the handshake; nothing about later.",
    )

    unknown_model: Literal["task-failed", "close"] = knob(
        "task-failed", "How an unknown model is refused; `close` has code 1007.", "`task-failed` has been seen."
    )
    unknown_vocabulary: Literal["task-failed", "ignore"] = knob(
        "task-failed", "What an unknown `vocabulary_id` does.", "Not found; some lists are ignored without an error."
    )
    out_of_range: Literal["accept", "task-failed"] = knob(
        "accept", "What a number out of its documented range does.", "Unknown: refused or clamped."
    )
    default_format: str = knob("pcm", "The format if `format` is missing.", "`format` is required.")
    default_sample_rate: int = knob(
        16_000, "Hertz if `sample_rate` is missing and the model takes several.", "`sample_rate` is required."
    )
    streaming_values: tuple[str, ...] = knob(
        ("duplex",), "Values of `header.streaming` that are accepted.", "Only `duplex` is described."
    )
    bad_frame_code: str = knob(
        "InvalidParameter", "`error_code` of a message that breaks the protocol.", "The list of codes is not complete."
    )
    early_frames: Literal["hold", "task-failed"] = knob(
        "hold",
        "What audio, `continue-task` or `finish-task` before `task-started` does: it waits, or the task fails.",
        "Refused; but the vendor's Java SDK sends audio 40 ms after `run-task` without waiting.",
    )
    second_run: Literal["task-failed", "ignore"] = knob(
        "task-failed", "What `run-task` does while a task runs.", "Parallel tasks are not promised."
    )
    repeated_task_id: Literal["task-failed", "accept"] = knob(
        "task-failed", "What a `task_id` does that the connection has used before.", "Each task needs a new one."
    )
    foreign_task_id: Literal["task-failed", "accept"] = knob(
        "accept",
        "What another `task_id` in `continue-task` or `finish-task` does.",
        "All messages of a task have the same; the vendor's PHP sample finishes with another.",
    )
    late_audio: Literal["task-failed", "ignore"] = knob(
        "ignore", "What audio after `finish-task` does, before the next `run-task`.", "Unknown."
    )
    silence_only: Literal["task-failed", "finish"] = knob(
        "finish", "How a task without speech ends; the failure is `NO_VALID_AUDIO_ERROR`.", "Unknown."
    )

    duration_rounding: Literal["up", "down", "nearest"] = knob(
        "up", "How `usage.duration` becomes whole seconds.", "Unknown."
    )
    header_attributes: str = knob("{}", "`header.attributes` of every event, as JSON.", "Samples show an empty object.")
    has_request_id: bool = knob(False, "Whether events have `header.request_id`.", "Unknown.")
    empty_first_interim: bool = knob(
        False, "Whether each sentence of every model begins with an empty result.", "Seen; described for Qwen-Audio."
    )

    start_seconds: float = knob(
        0.002,
        "Time from `run-task` to `task-started`, not scaled; 0 = at once.",
        "About 0.1 s has been seen; shorter keeps tests fast.",
    )
    first_task_seconds: float = knob(60.0, "Time from the handshake to the first `run-task`; 0 = no limit.", "Unknown.")
    idle_seconds: float = knob(60.0, "Time between two tasks.", "60 s.")
    no_data_seconds: float = knob(23.0, "Time without data within a task.", "23 s, then `CLIENT_ERROR`.")
    silence_seconds: float = knob(60.0, "Time without speech within a task without heartbeat.", "60 s.")
    silence_ends: Literal["task-failed", "close"] = knob(
        "task-failed", "How that ends: with `RequestTimeOut`, or closed without an event.", "A timeout; form unknown."
    )
    heartbeat_seconds: float = knob(5.0, "Time between heartbeat results during silence.", "Unknown.")
    pings_are_data: bool = knob(False, "Whether a WebSocket ping restarts `no_data_seconds`.", "Unknown.")
    continue_is_data: bool = knob(True, "Whether `continue-task` restarts it.", "Unknown.")
    empty_frames_are_data: bool = knob(True, "Whether an empty binary message restarts it.", "Unknown.")
    connection_seconds: float = knob(0.0, "Longest life of a connection, or a session; 0 = no limit.", "Unknown.")

    failure_close_seconds: float | None = knob(
        0.0,
        "Time from `task-failed` to the server's close, not scaled; null = the client has to close.",
        "The server closes; when is unknown.",
    )
    failure_close_code: int = knob(1000, "Close code after a failure.", "Only 1007 is described.")
    idle_close_code: int = knob(1000, "Close code when a connection was idle, or lived, too long.", "As above.")
    close_seconds: float = knob(
        1.0, "Longest wait for the client's close frame after the server's, not scaled; then TCP is cut.", "Unknown."
    )
    max_message_bytes: int = knob(
        16 * 1024 * 1024, "Largest message; a larger one closes the connection with 1009.", "Unknown."
    )
    send_seconds: float = knob(
        60.0, "Longest wait for a client that does not read, not scaled; then TCP is cut.", "Unknown."
    )

    session_sample_rate_echoed: bool = knob(
        False, "Whether `session.created` and `session.updated` show `sample_rate`.", "Unknown."
    )
    session_text_after_item: bool = knob(
        False,
        "Whether `.text` events come only after `conversation.item.created`.",
        "Two pages disagree; measured during speech.",
    )
    session_first_previous_item: str | None = knob(None, "`previous_item_id` of the first item.", "Unknown.")
    session_commit_min_ms: int = knob(
        100, "Audio that `commit` needs, in ms.", "A `buffer too small` error; limit unknown."
    )
    session_vad_commit: Literal["error", "ignore"] = knob(
        "error",
        "What `commit` does while turn detection is on.",
        "Not allowed; the vendor's Java sample does it all the same.",
    )
    session_clear_acknowledged: bool = knob(
        True, "Whether `input_audio_buffer.clear` is answered by `input_audio_buffer.cleared`.", "Unknown."
    )
    session_updates: Literal["accept", "error"] = knob(
        "accept", "What a second `session.update` does.", "Meant for the start; more are not excluded."
    )
    session_finish_closes: bool = knob(
        False, "Whether the server closes after `session.finished`.", "The client closes; the SDK's source disagrees."
    )
    session_finish_commits: bool = knob(
        True, "Whether `session.finish` commits what is left, without turn detection.", "Unknown."
    )
    session_usage: bool = knob(False, "Whether `.completed` has `usage`.", "Unknown.")
    session_created_before_1007: bool = knob(
        False, "Whether an unknown model gets `session.created` before the close.", "Closed with 1007; order unknown."
    )
    session_bad_model_seconds: float = knob(
        0.0,
        "Time from the handshake to that close, not scaled.",
        "Unknown; the vendor's SDK takes a close within 0.1 s for a failed connection.",
    )
    session_language: str = knob("en", "The language reported if none was set.", "The detected one.")
    session_idle_seconds: float = knob(0.0, "Longest time without a client event; 0 = no limit.", "Unknown.")
    session_item_ms: int = knob(0, "Longest item under turn detection, in ms of audio; 0 = no limit.", "Unknown.")
    session_fatal_errors: tuple[str, ...] = knob(
        ("server_error",),
        "Types of `error` after which the server closes.",
        "Unknown; the SDK goes on after `invalid_request_error` only.",
    )

    vocabulary_lists: int = knob(10, "Hot-word lists that the account may have.", "10.")
    hotword_seconds: float = knob(
        0.0, "Time that each request about hot words takes, not scaled.", "For tests of slow answers."
    )
    hotword_status: int = knob(
        0, "HTTP status with which every request about hot words fails; 0 = none does.", "For tests of failures."
    )
    decoders: int = knob(
        8, "`pocketsphinx` tasks at the same time; one more fails as overload.", "As many as the machine can run."
    )


def load_knobs(path: Path) -> Knobs:
    """Read a knob file: a mapping from names of knobs to values.

    Raises:
        ValueError: A name is unknown or a value has the wrong type; the message says which.
    """
    return read_document(path, Knobs)
