"""Microphones, by the optional package sounddevice."""

import asyncio
import importlib
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import ModuleType
from typing import Final, Protocol, TypedDict, cast

PREFERRED_RATE_HERTZ: Final = 16000
_CHUNK_SECONDS: Final = 0.1
_MOST_CHUNKS: Final = 100  # 10 s; whoever reads them does nothing but pass them on.


class UnusableDevice(Exception):
    """There is no such microphone, or nothing to reach it with."""


class DeviceInfo(TypedDict):
    """What sounddevice says about a device."""

    index: int
    name: str
    max_input_channels: int
    default_samplerate: float


class HostApi(TypedDict):
    """What sounddevice says about a way to reach devices."""

    default_input_device: int


class SoundLibrary(Protocol):
    """The parts of sounddevice that are used here."""

    @property
    def PortAudioError(self) -> type[Exception]:  # noqa: N802 - sounddevice's own name
        """What PortAudio refuses."""

    def query_devices(self) -> Iterable[DeviceInfo]:
        """Return all devices."""

    def query_hostapis(self) -> Iterable[HostApi]:
        """Return the ways to reach them, the usual one first."""

    def check_input_settings(self, *, device: int, channels: int, dtype: str, samplerate: float) -> None:
        """Raise ``PortAudioError`` if the device does not take these settings."""

    def RawInputStream(  # noqa: N802 - sounddevice's own name
        self,
        *,
        device: int,
        channels: int,
        dtype: str,
        samplerate: float,
        blocksize: int,
        callback: Callable[[bytes, int, object, object], None],
    ) -> AbstractContextManager[object]:
        """Record while the context is open; the callback runs in a thread of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A microphone.

    Attributes:
        number: What ``--device`` takes.
        name: What it takes as well, or a part of it.
        rate_hertz: Its own sample rate.
        is_default: The system's choice.
    """

    number: int
    name: str
    rate_hertz: int
    is_default: bool


def sound_library(import_module: Callable[[str], ModuleType] = importlib.import_module) -> SoundLibrary:
    """Import sounddevice.

    Raises:
        UnusableDevice: It is missing, or its own library is.
    """
    try:
        return cast("SoundLibrary", import_module("sounddevice"))
    except ModuleNotFoundError:
        raise UnusableDevice("a microphone needs the package sounddevice: pip install 'asrgateway[mic]'") from None
    except OSError:
        raise UnusableDevice(
            "a microphone needs the library PortAudio: install it, such as with 'apt-get install libportaudio2'"
        ) from None


def microphones(library: SoundLibrary) -> list[Device]:
    """Return all devices that record."""
    default = next((api["default_input_device"] for api in library.query_hostapis()), -1)
    return [
        Device(
            number=info["index"],
            name=info["name"],
            rate_hertz=round(info["default_samplerate"]),
            is_default=info["index"] == default,
        )
        for info in library.query_devices()
        if info["max_input_channels"] > 0
    ]


def choose(devices: Sequence[Device], wanted: str | None) -> Device:
    """Return the device with this number, or the only one whose name holds this text; None: the default.

    Raises:
        UnusableDevice: There is none, or more than one.
    """
    if not devices:
        raise UnusableDevice("no microphone was found")
    if wanted is None:
        return next((device for device in devices if device.is_default), devices[0])
    found = [device for device in devices if str(device.number) == wanted]
    found = found or [device for device in devices if wanted.lower() in device.name.lower()]
    if len(found) == 1:
        return found[0]
    raise UnusableDevice(
        f"{len(found) or 'no'} microphones match {wanted!r}: choose a number that --list-devices shows"
    )


class Microphone:
    """A microphone that is ready to record 16-bit mono.

    Args:
        library: sounddevice.
        device: The microphone.
        rate_hertz: None: 16000 where the device can, otherwise its own rate.
    """

    def __init__(self, library: SoundLibrary, device: Device, rate_hertz: int | None) -> None:
        self._library = library
        self._device = device
        self.sample_rate_hertz = rate_hertz or self._usual_rate()

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Record until the iteration ends, 100 ms at a time.

        Raises:
            UnusableDevice: The device does not open.
        """
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[bytes] = asyncio.Queue()

        def put(chunk: bytes) -> None:
            if queue.qsize() < _MOST_CHUNKS:
                queue.put_nowait(chunk)

        def callback(data: bytes, _frames: int, _time: object, _status: object) -> None:
            loop.call_soon_threadsafe(put, bytes(data))

        try:
            stream = self._library.RawInputStream(
                device=self._device.number,
                channels=1,
                dtype="int16",
                samplerate=self.sample_rate_hertz,
                blocksize=round(self.sample_rate_hertz * _CHUNK_SECONDS),
                callback=callback,
            )
            with stream:
                while True:
                    yield await queue.get()
        except self._library.PortAudioError as error:
            raise UnusableDevice(f"{self._device.name} does not record: {error}") from error

    def _usual_rate(self) -> int:
        try:
            self._library.check_input_settings(
                device=self._device.number, channels=1, dtype="int16", samplerate=PREFERRED_RATE_HERTZ
            )
        except self._library.PortAudioError:
            return self._device.rate_hertz
        return PREFERRED_RATE_HERTZ
