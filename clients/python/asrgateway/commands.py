"""What a command line asks for: one record per command."""

from dataclasses import dataclass
from pathlib import Path

from asrgateway.connection import Connection
from asrgateway.v1.recognition_pb2 import StreamingConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCommand:
    """Recognise recordings.

    Attributes:
        connection: The gateway.
        paths: Files and folders; ``-`` is standard input.
        config: How to recognise them; the format of the audio is still missing.
        jobs: How many are recognised at the same time.
        is_fast: Send as fast as the gateway accepts it, not at speaking speed.
        output: One of ``FORMATS``.
        output_folder: Gets a file for each recording; None: standard output.
        encoding: One of ``ENCODINGS``; None: by the file's name.
        sample_rate_hertz: None: as the file says.
        channel_count: None: as the file says, or 1.
        timeout_seconds: For each recording; None: no limit.
        wait_seconds: For a gateway that is busy or not there; None: not at all.
    """

    connection: Connection
    paths: tuple[Path, ...]
    config: StreamingConfig
    jobs: int
    is_fast: bool
    output: str
    output_folder: Path | None
    encoding: str | None
    sample_rate_hertz: int | None
    channel_count: int | None
    timeout_seconds: float | None
    wait_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelsCommand:
    """List the models.

    Attributes:
        connection: The gateway.
        is_json: Print JSON, not a table.
        wait_seconds: For a gateway that is busy or not there; None: not at all.
    """

    connection: Connection
    is_json: bool
    wait_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadCommand:
    """Send a recording many times at once, and measure.

    Attributes:
        connection: The gateway.
        path: The recording; each stream repeats it.
        config: How to recognise it; the format of the audio is still missing.
        streams: How many there are in the end.
        ramp_seconds: The time in which they begin, one after another.
        duration_seconds: How long all of them run after that.
        is_json: Print JSON, not a table.
        encoding: One of ``ENCODINGS``; None: by the file's name.
        sample_rate_hertz: None: as the file says.
        channel_count: None: as the file says, or 1.
    """

    connection: Connection
    path: Path
    config: StreamingConfig
    streams: int
    ramp_seconds: float
    duration_seconds: float
    is_json: bool
    encoding: str | None
    sample_rate_hertz: int | None
    channel_count: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MicCommand:
    """Recognise what is spoken into a microphone.

    Attributes:
        connection: The gateway.
        config: How to recognise it; the format of the audio is still missing.
        output: One of ``FORMATS``.
        is_list: Only list the microphones.
        device: Number or name; None: the system's choice.
        sample_rate_hertz: None: 16000 where the device can.
        is_push_to_talk: Send audio only between two presses of the space bar.
        duration_seconds: When the recording ends; None: when a key ends it.
        wait_seconds: For a gateway that is busy or not there; None: not at all.
    """

    connection: Connection
    config: StreamingConfig
    output: str
    is_list: bool
    device: str | None
    sample_rate_hertz: int | None
    is_push_to_talk: bool
    duration_seconds: float | None
    wait_seconds: float | None


Command = FileCommand | LoadCommand | MicCommand | ModelsCommand
