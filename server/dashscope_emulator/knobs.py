"""Everything about the vendor that no source states: a setting each, with the default we chose.

A knob file is YAML or JSON and names the knobs to be turned::

    bad_key_status: 403
    silence_ends: close
    session_finish_closes: true
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from dashscope_emulator.documents import read_document


@dataclass(frozen=True, slots=True, kw_only=True)
class Knobs:
    """How the emulator behaves where the vendor's behaviour is unknown, or known and worth varying.

    All seconds are divided by ``time_scale`` unless the attribute says otherwise.

    Attributes:
        missing_key_status: HTTP status of a handshake without a key.
        bad_key_status: HTTP status of a handshake with a wrong key, or an expired token.
        expired_token_closes: A socket is closed when the token it was opened with expires.
        policy_close_code: Close code for that.
        bad_frame_code: ``error_code`` of a frame that breaks the protocol.
        early_frames: Audio, ``continue-task`` or ``finish-task`` between ``run-task`` and ``task-started``: kept until
            then and heard, as the vendor's Java SDK needs it, or refused, as the vendor's manual has it.
        early_frame_code: ``error_code`` of such frames where they are refused, and of those before any ``run-task``.
        unknown_model: How dialect A refuses a model: ``task-failed``, or a close with 1007.
        unknown_vocabulary: What an unknown ``vocabulary_id`` does: it is refused or ignored.
        wrong_sample_rate: What a rate the model does not know does: no text ever, or ``task-failed``.
        out_of_range: What a parameter out of its documented range does.
        wrong_kind: What a parameter or a context of the wrong kind does, such as text for a number: it is refused, or
            ignored. Dialect B always refuses.
        whole_floats: Whether ``16000.0`` is an integer, in both dialects.
        coded_rate: Coded audio (Opus apart) whose own rate is not ``sample_rate``: it is converted, or misheard.
        default_format: ``parameters.format`` when it is missing.
        default_sample_rate: ``parameters.sample_rate`` when it is missing and the model takes several.
        streaming_values: Accepted values of ``header.streaming``.
        second_run: ``run-task`` while a task runs: refused (and the task with it) or ignored.
        repeated_task_id: A ``task_id`` already used on the socket: refused or accepted.
        foreign_task_id: ``continue-task`` or ``finish-task`` with another id than the task's: accepted, as the vendor's
            PHP sample needs it, or refused.
        late_audio: Audio after ``finish-task``, before the next ``run-task``: ignored or refused.
        no_audio: A task finished without audio: ``NO_VALID_AUDIO_ERROR`` or a clean end.
        silence_only: A task in which nothing was said: the same choice.
        duration_rounding: How ``usage.duration`` becomes whole seconds.
        header_attributes: ``header.attributes`` of every event, as JSON.
        has_request_id: Events carry ``header.request_id``.
        start_seconds: From ``run-task`` to ``task-started``, not scaled; frames before it are too early.
            0 = at once.
        finish_seconds: From the last result to ``task-finished``, not scaled.
        empty_first_interim: The first result of each sentence is empty, for every model.
        first_task_seconds: Time from the handshake to the first ``run-task``; 0 = no limit.
        idle_seconds: Time between two tasks; the vendor says 60.
        no_data_seconds: Time without data within a task; the vendor says 23.
        silence_seconds: Time without speech within a task that has no heartbeat; the vendor says 60.
        silence_ends: How that ends: ``task-failed`` and close, or a bare close.
        heartbeat_seconds: Pause between heartbeat results while nothing is said.
        pings_are_data: A WebSocket ping counts as data for ``no_data_seconds``.
        continue_is_data: So does ``continue-task``.
        empty_frames_are_data: So does an empty binary frame.
        connection_seconds: Longest life of a connection; 0 = no limit.
        failure_closes: The server closes after ``task-failed``; otherwise it waits for the client.
        failure_close_seconds: Time from ``task-failed`` to that close, not scaled.
        failure_close_code: Close code for that.
        idle_close_code: Close code when a connection was idle too long, or lived too long.
        close_seconds: Longest wait for the client's close frame after the server's, not scaled; then TCP is cut.
        shutdown_close_code: Close code when the emulator stops.
        max_message_bytes: Largest message; a larger one closes the connection with 1009.
        send_seconds: Longest wait for a client that does not read, not scaled; then it is cut off.
        decoders: ``pocketsphinx`` tasks at the same time; one more fails as the vendor's overload.
        fixed_ms: ``pocketsphinx`` calls a word fixed when it has been over, and the same, for so much audio: that is
            ``fixed`` in dialect A and ``text`` in B, and such a word stays. 0 = only when the speaker pauses for 0.3 s.
        semantic_silence_ms: The silence that ends a sentence under ``semantic_punctuation_enabled``; the vendor says
            about 2 s.
        has_stash: Finals of Qwen-Audio carry ``stash`` when the next sentence has begun.
        session_sample_rate_echoed: ``session.created`` and ``session.updated`` show ``sample_rate``.
        session_text_after_item: ``.text`` events only after ``conversation.item.created``.
        session_first_previous_item: ``previous_item_id`` of the first item.
        session_commit_min_ms: Least audio of a ``commit``.
        session_vad_commit: What ``commit`` does in VAD mode: ``error`` or nothing.
        session_clear_acknowledged: ``input_audio_buffer.clear`` is answered by ``input_audio_buffer.cleared``.
        session_updates: A second ``session.update`` is honoured or answered with an error.
        session_finish_closes: The server closes after ``session.finished``.
        session_finish_commits: ``session.finish`` in manual mode commits what was not committed.
        session_usage: ``completed`` carries ``usage``.
        session_created_before_1007: A bad model gets ``session.created`` before the close.
        session_bad_model_seconds: Time from the handshake to that close, not scaled.
        session_language: Language reported when none was set.
        session_seconds: Longest session; 0 = no limit.
        session_idle_seconds: Longest time without a client event; 0 = no limit.
        session_item_ms: Longest item in VAD mode, in audio; 0 = no limit.
        session_fatal_errors: Types of ``error`` after which the session is closed.
        vocabulary_lists: Lists per account; the vendor says 10.
        hotword_seconds: How long each request about hot words takes, not scaled.
        hotword_status: HTTP status with which each of them fails; 0 = they are answered.
    """

    missing_key_status: int = 401
    bad_key_status: int = 401
    expired_token_closes: bool = False
    policy_close_code: int = 1008
    bad_frame_code: str = "InvalidParameter"
    early_frames: Literal["hold", "task-failed"] = "hold"
    early_frame_code: str = "InvalidParameter"
    unknown_model: Literal["task-failed", "close"] = "task-failed"
    unknown_vocabulary: Literal["task-failed", "ignore"] = "task-failed"
    wrong_sample_rate: Literal["no-text", "task-failed"] = "no-text"
    out_of_range: Literal["accept", "task-failed"] = "accept"
    wrong_kind: Literal["task-failed", "ignore"] = "task-failed"
    whole_floats: Literal["accept", "refuse"] = "refuse"
    coded_rate: Literal["convert", "mishear"] = "convert"
    default_format: str = "pcm"
    default_sample_rate: int = 16_000
    streaming_values: tuple[str, ...] = ("duplex",)
    second_run: Literal["task-failed", "ignore"] = "task-failed"
    repeated_task_id: Literal["task-failed", "accept"] = "task-failed"
    foreign_task_id: Literal["task-failed", "accept"] = "accept"
    late_audio: Literal["task-failed", "ignore"] = "ignore"
    no_audio: Literal["task-failed", "finish"] = "task-failed"
    silence_only: Literal["task-failed", "finish"] = "finish"
    duration_rounding: Literal["up", "down", "nearest"] = "up"
    header_attributes: str = "{}"
    has_request_id: bool = False
    start_seconds: float = 0.002
    finish_seconds: float = 0.0
    empty_first_interim: bool = False
    first_task_seconds: float = 60.0
    idle_seconds: float = 60.0
    no_data_seconds: float = 23.0
    silence_seconds: float = 60.0
    silence_ends: Literal["task-failed", "close"] = "task-failed"
    heartbeat_seconds: float = 5.0
    pings_are_data: bool = False
    continue_is_data: bool = True
    empty_frames_are_data: bool = True
    connection_seconds: float = 0.0
    failure_closes: bool = True
    failure_close_seconds: float = 0.0
    failure_close_code: int = 1000
    idle_close_code: int = 1000
    close_seconds: float = 1.0
    shutdown_close_code: int = 1001
    max_message_bytes: int = 16 * 1024 * 1024
    send_seconds: float = 60.0
    decoders: int = 8
    fixed_ms: int = 1500
    semantic_silence_ms: int = 2000
    has_stash: bool = True
    session_sample_rate_echoed: bool = False
    session_text_after_item: bool = False
    session_first_previous_item: str | None = None
    session_commit_min_ms: int = 100
    session_vad_commit: Literal["error", "ignore"] = "error"
    session_clear_acknowledged: bool = True
    session_updates: Literal["accept", "error"] = "accept"
    session_finish_closes: bool = False
    session_finish_commits: bool = True
    session_usage: bool = False
    session_created_before_1007: bool = False
    session_bad_model_seconds: float = 0.0
    session_language: str = "en"
    session_seconds: float = 0.0
    session_idle_seconds: float = 0.0
    session_item_ms: int = 0
    session_fatal_errors: tuple[str, ...] = ("server_error",)
    vocabulary_lists: int = 10
    hotword_seconds: float = 0.0
    hotword_status: int = 0


def load_knobs(path: Path) -> Knobs:
    """Read a knob file.

    Raises:
        ValueError: It names something else, or a value is of the wrong kind; the message says which.
    """
    document = read_document(path)
    if not isinstance(document, dict):  # a mistake in a file, not in the code: no TypeError
        raise ValueError(f"{path}: expected a mapping of knobs, not {type(document).__name__}")  # noqa: TRY004
    hints = get_type_hints(Knobs)
    unknown = sorted(set(document) - {field.name for field in fields(Knobs)})
    if unknown:
        raise ValueError(f"{path}: unknown {', '.join(map(str, unknown))}")
    return Knobs(**{name: _turned(f"{path}: {name}", value, hints[name]) for name, value in document.items()})


def _turned(name: str, value: object, hint: Any) -> Any:  # a type, or one of typing's forms of it
    """The value as the knob takes it."""
    if hint == tuple[str, ...] and isinstance(value, list):
        return tuple(map(str, value))
    if hint is float and type(value) is int:
        return float(value)
    choices = get_args(hint)
    if value in choices or type(value) in (choices or (hint,)):
        return value
    raise ValueError(f"{name} must be {' or '.join(map(str, choices)) or hint.__name__}, not {value!r}")
