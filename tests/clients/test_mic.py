"""`asr-client mic`, with a microphone and keys that the test moves."""

import asyncio
import os
import sys
import tty
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType

import pytest

from asrgateway.arguments import parse
from asrgateway.cli import run
from asrgateway.commands import MicCommand
from asrgateway.keyboard import pressed_keys
from asrgateway.mic_command import run_mic
from asrgateway.microphone import (
    Device,
    DeviceInfo,
    HostApi,
    Microphone,
    UnusableDevice,
    choose,
    microphones,
    sound_library,
)
from asrgateway.sound_level import meter, peak_dbfs
from asrgateway.terminal import Terminal
from scripted_gateway import Gateway, final, finished, interim, started

CHUNK = bytes(range(200)) * 16


class FakeKeys:
    """Keys that the test presses while the command looks at them."""

    def __init__(self) -> None:
        self.press: Callable[[str], None] = lambda key: pytest.fail(f"nobody looks at {key!r}")

    @contextmanager
    def __call__(self, on_key: Callable[[str], None]) -> Iterator[None]:
        self.press = on_key
        yield


class FakeMicrophone:
    """Records what the script holds; between the chunks it presses keys.

    Attributes:
        is_closed: The recording has ended.
    """

    sample_rate_hertz = 16000

    def __init__(self, keys: FakeKeys, *script: bytes | str, is_endless: bool = False) -> None:
        self._keys = keys
        self._script = script
        self._is_endless = is_endless
        self.is_closed = False

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        try:
            for item in self._script:
                if isinstance(item, str):
                    self._keys.press(item)
                else:
                    yield item
            if self._is_endless:
                await asyncio.Event().wait()
        finally:
            self.is_closed = True


def command_for(gateway: Gateway, *flags: str) -> MicCommand:
    command = parse(["mic", "--target", gateway.target, *flags])
    assert isinstance(command, MicCommand)
    return command


async def mic(
    gateway: Gateway, *script: bytes | str, flags: Sequence[str] = (), is_endless: bool = False
) -> FakeMicrophone:
    """Run the command with a microphone and keys that do what the script says."""
    keys = FakeKeys()
    microphone = FakeMicrophone(keys, *script, is_endless=is_endless)
    terminal = Terminal(sys.stdout, sys.stderr)
    assert await run_mic(command_for(gateway, *flags), terminal, source=microphone, keys=keys) == 0
    return microphone


def sent(gateway: Gateway) -> list[bytes | str]:
    """What came after the config, with the names of what is not audio."""
    return [request.audio or str(request.WhichOneof("request")) for request in gateway.script.received[1:]]


async def test_what_is_spoken_is_sent_and_its_text_is_printed(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.script.greeting = [started(), interim("hel")]
    gateway.script.going_away = [final("hello"), finished(first_package_delay=200, last_package_delay=50)]
    await mic(gateway, CHUNK, CHUNK)
    captured = capsys.readouterr()
    assert captured.out == "hello\n"
    assert captured.err.splitlines()[0] == "space: end the utterance; q: finish; Ctrl-C: stop at once"
    assert sent(gateway) == [CHUNK, CHUNK]
    config = gateway.script.received[0].streaming_config
    assert (config.decoding_config.sample_rate_hertz, config.decoding_config.audio_channel_count) == (16000, 1)


@pytest.mark.parametrize("key", ["q", "\n", "\x04"])
async def test_a_key_ends_the_recording_and_the_last_text_still_comes(
    key: str, gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.script.going_away = [final("hello"), finished()]
    microphone = await mic(gateway, CHUNK, key, is_endless=True)
    assert sent(gateway) == [CHUNK]
    assert capsys.readouterr().out == "hello\n"
    assert microphone.is_closed


async def test_the_space_bar_ends_an_utterance(gateway: Gateway) -> None:
    await mic(gateway, b"one", " ", b"two")
    assert sent(gateway) == [b"one", "commit", b"two"]


async def test_push_to_talk_sends_audio_between_two_presses_and_then_a_commit(gateway: Gateway) -> None:
    script = (b"before", " ", b"first", b"talk", " ", b"between", " ", b"second", " ", b"after", "q")
    await mic(gateway, *script, flags=["--push-to-talk"])
    assert sent(gateway) == [b"first", b"talk", "commit", b"second", "commit"]
    assert gateway.script.received[0].streaming_config.endpointing.HasField("manual")


async def test_push_to_talk_keeps_the_endpointing_that_was_asked_for(gateway: Gateway) -> None:
    await mic(gateway, flags=["--push-to-talk", "--endpointing", "semantic"])
    assert gateway.script.received[0].streaming_config.endpointing.HasField("semantic")


async def test_a_duration_ends_the_recording(gateway: Gateway) -> None:
    await mic(gateway, *[CHUNK] * 5, flags=["--duration", "0.2"])
    assert sent(gateway) == [CHUNK, CHUNK]


async def test_a_microphone_that_fails_ends_the_call(gateway: Gateway) -> None:
    class Broken(FakeMicrophone):
        async def chunks(self) -> AsyncGenerator[bytes, None]:
            yield CHUNK
            raise UnusableDevice("unplugged")

    keys = FakeKeys()
    with pytest.raises(UnusableDevice, match="unplugged"):
        await run_mic(command_for(gateway), Terminal(sys.stdout, sys.stderr), source=Broken(keys), keys=keys)


async def test_push_to_talk_needs_keys(gateway: Gateway) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "asrgateway", "mic", "--push-to-talk", "--target", gateway.target),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert (process.returncode, err.splitlines()) == (
        2,
        [b"asr-client: --push-to-talk needs a terminal as standard input, for its keys"],
    )


def without_package(name: str) -> ModuleType:
    raise ModuleNotFoundError(name)


def without_portaudio(_name: str) -> ModuleType:
    raise OSError("PortAudio library not found")


def test_a_missing_package_is_named() -> None:
    with pytest.raises(UnusableDevice, match=r"needs the package sounddevice: pip install 'asrgateway\[mic\]'"):
        sound_library(without_package)


def test_a_missing_library_is_named() -> None:
    with pytest.raises(UnusableDevice, match=r"needs the library PortAudio: .*apt-get install libportaudio2"):
        sound_library(without_portaudio)


class FakeLibrary:
    """Two microphones and a loudspeaker; each recording has two chunks at once."""

    class PortAudioError(Exception):
        pass

    def __init__(self, *rates: int) -> None:
        self._rates = rates
        self.is_open = False

    def query_devices(self) -> list[DeviceInfo]:
        return [
            {"index": 0, "name": "Loudspeaker", "max_input_channels": 0, "default_samplerate": 48000.0},
            {"index": 1, "name": "Built-in Microphone", "max_input_channels": 2, "default_samplerate": 44100.0},
            {"index": 2, "name": "USB Microphone", "max_input_channels": 1, "default_samplerate": 48000.0},
        ]

    def query_hostapis(self) -> list[HostApi]:
        return [{"default_input_device": 2}]

    def check_input_settings(self, *, device: int, channels: int, dtype: str, samplerate: float) -> None:
        if samplerate not in self._rates:
            raise self.PortAudioError(f"{device} {channels} {dtype}: Invalid sample rate")

    @contextmanager
    def RawInputStream(  # noqa: N802 - sounddevice's own name
        self,
        *,
        device: int,
        channels: int,
        dtype: str,
        samplerate: float,
        blocksize: int,
        callback: Callable[[bytes, int, object, object], None],
    ) -> Iterator[object]:
        self.check_input_settings(device=device, channels=channels, dtype=dtype, samplerate=samplerate)
        self.is_open = True
        for value in (1, 2):
            callback(bytes([value, 0]) * blocksize, blocksize, None, None)
        try:
            yield self
        finally:
            self.is_open = False


def test_only_devices_that_record_are_microphones() -> None:
    assert microphones(FakeLibrary()) == [
        Device(number=1, name="Built-in Microphone", rate_hertz=44100, is_default=False),
        Device(number=2, name="USB Microphone", rate_hertz=48000, is_default=True),
    ]


@pytest.mark.parametrize(("wanted", "number"), [(None, 2), ("1", 1), ("built", 1), ("usb micro", 2)])
def test_a_device_is_chosen_by_its_number_or_a_part_of_its_name(wanted: str | None, number: int) -> None:
    assert choose(microphones(FakeLibrary()), wanted).number == number


@pytest.mark.parametrize(("wanted", "message"), [("microphone", "2 microphones match"), ("0", "no microphones match")])
def test_a_device_must_be_clear(wanted: str, message: str) -> None:
    with pytest.raises(UnusableDevice, match=message):
        choose(microphones(FakeLibrary()), wanted)


def test_a_machine_without_a_microphone_is_an_error() -> None:
    with pytest.raises(UnusableDevice, match="no microphone was found"):
        choose([], None)


@pytest.mark.parametrize(
    ("rates", "asked", "rate"), [((16000,), None, 16000), ((48000,), None, 48000), ((8000,), 8000, 8000)]
)
def test_the_rate_is_16_khz_unless_the_device_cannot_or_another_is_asked_for(
    rates: tuple[int, ...], asked: int | None, rate: int
) -> None:
    library = FakeLibrary(*rates)
    assert Microphone(library, choose(microphones(library), None), asked).sample_rate_hertz == rate


async def test_a_microphone_records_100_ms_at_a_time_and_is_closed_at_the_end() -> None:
    library = FakeLibrary(16000)
    chunks = Microphone(library, choose(microphones(library), None), None).chunks()
    assert [len(await anext(chunks)), (await anext(chunks))[0]] == [3200, 2]
    await chunks.aclose()
    assert not library.is_open


async def test_a_device_that_does_not_open_is_named() -> None:
    library = FakeLibrary()
    microphone = Microphone(library, choose(microphones(library), "1"), 16000)
    with pytest.raises(UnusableDevice, match=r"Built-in Microphone does not record: .*Invalid sample rate"):
        await anext(microphone.chunks())


async def test_keys_are_read_without_enter_and_the_terminal_is_as_before() -> None:
    ours, theirs = os.openpty()
    before = tty.tcgetattr(theirs)  # type: ignore[attr-defined] # tty has all of termios
    pressed: asyncio.Queue[str] = asyncio.Queue()
    with pressed_keys(theirs, pressed.put_nowait):
        os.write(ours, b" q")
        assert [await pressed.get(), await pressed.get()] == [" ", "q"]
    assert tty.tcgetattr(theirs) == before  # type: ignore[attr-defined] # as above
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize(
    ("audio", "dbfs"),
    [(b"", -60.0), (bytes(20), -60.0), (b"\x01\x00", -60.0), (b"\x00\x80\x00\x00", 0.0), (b"\x00\x40\x00", -6.02)],
)
def test_the_level_is_the_peak_in_decibels(audio: bytes, dbfs: float) -> None:
    assert peak_dbfs(audio) == pytest.approx(dbfs, abs=0.01)


@pytest.mark.parametrize(("dbfs", "filled"), [(-60.0, 0), (-30.0, 10), (0.0, 20)])
def test_the_meter_has_20_columns(dbfs: float, filled: int) -> None:
    assert (meter(dbfs).count("▮"), len(meter(dbfs))) == (filled, 20)


async def test_without_a_microphone_the_command_ends_with_2_and_a_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asrgateway.mic_command.sound_library", lambda: sound_library(without_portaudio))
    assert await run(parse(["mic", "--list-devices"])) == 2
    assert capsys.readouterr().err.startswith("asr-client: a microphone needs the library PortAudio")


async def test_a_machine_without_a_microphone_lists_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeLibrary, "query_devices", lambda _: [])
    monkeypatch.setattr("asrgateway.mic_command.sound_library", FakeLibrary)
    assert await run(parse(["mic", "--list-devices"])) == 2
    assert capsys.readouterr().err == "asr-client: no microphone was found\n"


async def test_devices_are_listed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asrgateway.mic_command.sound_library", FakeLibrary)
    assert await run(parse(["mic", "--list-devices"])) == 0
    assert capsys.readouterr().out.splitlines() == [
        "  1  Built-in Microphone, 44100 Hz",
        "  2  USB Microphone, 48000 Hz (default)",
    ]
