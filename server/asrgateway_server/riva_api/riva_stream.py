"""A Riva client's live audio, as its call sees it: the contract's messages."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.audio.sniff import SNIFFED_BYTES
from asrgateway_server.errors import ClientLimitReached, ClientStalled, InvalidRequest
from asrgateway_server.grpc_api.grpc_stream import GrpcStream
from asrgateway_server.riva_api import asr_pb2 as asr
from asrgateway_server.riva_api.fields import riva_field, riva_text
from asrgateway_server.riva_api.options import RivaOptions
from asrgateway_server.riva_api.requests import (
    Ignored,
    config_from,
    id_of,
    note_of,
    refuse_if_strict,
    verify_count,
)
from asrgateway_server.riva_api.results import Results
from asrgateway_server.riva_api.trailer import Trailer

Messages: TypeAlias = "GrpcStream[asr.StreamingRecognizeRequest, asr.StreamingRecognizeResponse]"

_CONFIG_FIELD: Final = "streaming_config"
_AUDIO_FIELD: Final = "audio_content"
_FORCE_EOU: Final = "force_eou"
_LONGEST_KEY: Final = 64
# The wait for the first audio has its own limits; these are for both together.
_MARGIN_SECONDS: Final = 1.0


class RivaStream:
    """See ``call_client.Stream``.

    The call begins with the first audio: only that shows how it is coded.

    Attributes:
        config_timeout_seconds: How long the contract's config may take.
    """

    def __init__(self, messages: Messages, options: RivaOptions, trailer: Trailer) -> None:
        self.config_timeout_seconds = (
            options.config_timeout_seconds + options.first_audio_timeout_seconds + _MARGIN_SECONDS
        )
        self._messages = messages
        self._options = options
        self._trailer = trailer
        self._results = Results()
        self._id = ""
        self._is_open = False
        #: Since the last commit.
        self._has_audio = False
        self._next: deque[pb.RecognizeRequest] = deque()

    def metadata(self) -> Iterable[tuple[str, str | bytes]]:
        """See ``Stream``."""
        return self._messages.metadata()

    async def admit(self, call_id: str) -> None:
        """See ``Stream``."""
        await self._messages.admit(call_id)

    async def verify_half_close(self) -> None:
        """See ``Stream``."""
        await self._messages.verify_half_close()

    def refuse_commit(self, error: ClientLimitReached) -> None:
        """See ``Stream``; without it the model ends the utterance, as it would for a client that asks for nothing."""
        if self._options.is_strict:
            raise error
        self._trailer.ignore([Ignored(riva_field(error.field), riva_text(error.message))])

    # Requests ---------------------------------------------------------------------------------------------------

    async def read(self) -> pb.RecognizeRequest | None:
        """See ``Stream``."""
        if not self._is_open:
            self._is_open = True
            return await self._open()
        while not self._next:
            request = await self._messages.read()
            if request is None:
                return None
            self._next.extend(self._requests_from(request))
        return self._next.popleft()

    async def _open(self) -> pb.RecognizeRequest:
        first = await self._first()
        self._id = id_of(first)
        self._ignore_runtime_config(first)
        start = await self._start()
        wanted = first.streaming_config.config
        self._trailer.ask(wanted, "online")
        self._trailer.note(note_of(wanted, self._options))
        config, ignored = config_from(wanted, start, self._id, self._options)
        config.interim_results = first.streaming_config.interim_results
        self._trailer.ignore(ignored)
        return pb.RecognizeRequest(streaming_config=config)

    async def _first(self) -> asr.StreamingRecognizeRequest:
        seconds = self._options.config_timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                request = await self._read()
        except TimeoutError:
            raise ClientStalled(f"no {_CONFIG_FIELD} came within {seconds:g} s", field=_CONFIG_FIELD) from None
        found = "the end of the stream" if request is None else request.WhichOneof("streaming_request")
        if request is None or found != _CONFIG_FIELD:
            raise InvalidRequest(
                f"the first request must carry {_CONFIG_FIELD}, not {found or 'an empty request'}", field=_CONFIG_FIELD
            )
        return request

    async def _start(self) -> bytes:
        """Return the first audio, as much as shows how it is coded; ``read`` returns it again."""
        audio, has_commit = bytearray(), False
        seconds = self._options.first_audio_timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                while len(audio) < SNIFFED_BYTES and (request := await self._read()) is not None:
                    for part in self._requests_from(request):
                        audio += part.audio
                        has_commit = part.HasField("commit")
        except TimeoutError:
            raise ClientStalled(f"no audio came within {seconds:g} s", field=_AUDIO_FIELD) from None
        self._next.append(pb.RecognizeRequest(audio=bytes(audio)))
        if audio and has_commit:
            self._next.append(pb.RecognizeRequest(commit=pb.Commit()))
        return bytes(audio[:SNIFFED_BYTES])

    async def _read(self) -> asr.StreamingRecognizeRequest | None:
        request = await self._messages.read()
        if request is None:
            await self._messages.verify_half_close()
        return request

    def _requests_from(self, request: asr.StreamingRecognizeRequest) -> Iterator[pb.RecognizeRequest]:
        """Yield the audio of a message and then, if it asks for that, the end of the utterance."""
        if request.HasField(_CONFIG_FIELD):
            raise InvalidRequest(
                f"{_CONFIG_FIELD} comes once, in the first request; this is another one", field=_CONFIG_FIELD
            )
        if audio := request.audio_content:
            self._has_audio = True
            yield pb.RecognizeRequest(audio=audio)
        if request.runtime_config:
            self._ignore_runtime_config(request)
            # Without audio there is nothing new to end, and each commit counts.
            if self._has_audio and request.runtime_config.get(_FORCE_EOU, "").lower() == "true":
                self._has_audio = False
                yield pb.RecognizeRequest(commit=pb.Commit())

    def _ignore_runtime_config(self, request: asr.StreamingRecognizeRequest) -> None:
        verify_count("runtime_config", len(request.runtime_config))
        unknown = [
            Ignored(f"runtime_config.{key[:_LONGEST_KEY]}", "this gateway does not know it")
            for key in sorted(request.runtime_config)
            if key != _FORCE_EOU
        ]
        refuse_if_strict(self._options, unknown)
        self._trailer.ignore(unknown)

    # Responses --------------------------------------------------------------------------------------------------

    async def write(self, message: pb.RecognizeResponse) -> None:
        """See ``Stream``."""
        response = asr.StreamingRecognizeResponse()
        if self._id:
            response.id.value = self._id
        match message.WhichOneof("response"):
            case "result":
                self._results.fill_streamed(response.results.add(), message)
            case None:
                pass  # An empty response keeps proxies awake, and clients pass over it.
            case _:
                self._trailer.take(message)
                return
        await self._messages.write(response)
