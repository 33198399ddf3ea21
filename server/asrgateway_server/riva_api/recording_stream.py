"""A whole recording in one request, as its call sees it: the contract's messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.audio.sniff import SNIFFED_BYTES
from asrgateway_server.errors import ClientLimitReached, InvalidRequest
from asrgateway_server.riva_api import asr_pb2 as asr
from asrgateway_server.riva_api.options import RivaOptions
from asrgateway_server.riva_api.requests import config_from, id_of, note_of
from asrgateway_server.riva_api.results import Results
from asrgateway_server.riva_api.sizes import Recording
from asrgateway_server.riva_api.trailer import Trailer


class RecordingStream:
    """See ``call_client.Stream``.

    Args:
        recording: The recording, and how to recognise it.
        metadata: What the client sent beside it.
        options: The operator's.
        trailer: Collects what the response has no field for.

    Attributes:
        response: What the client gets; whole once the call has ended.
    """

    def __init__(
        self,
        recording: Recording,
        metadata: Iterable[tuple[str, str | bytes]],
        options: RivaOptions,
        trailer: Trailer,
    ) -> None:
        self.response = asr.RecognizeResponse()
        if request_id := id_of(recording.request):
            self.response.id.value = request_id
        self._metadata = metadata
        self._trailer = trailer
        self._results = Results()
        self._requests = self._requests_of(recording, options)

    def metadata(self) -> Iterable[tuple[str, str | bytes]]:
        """See ``Stream``."""
        return self._metadata

    async def admit(self, call_id: str) -> None:
        """Do nothing: the one response follows the end of the call."""

    async def verify_half_close(self) -> None:
        """Do nothing: gRPC cancels the call of a client that has left."""

    async def read(self) -> pb.RecognizeRequest | None:
        """See ``Stream``."""
        return next(self._requests, None)

    def refuse_commit(self, error: ClientLimitReached) -> None:
        """See ``Stream``; there are no commits here."""
        raise error

    async def write(self, message: pb.RecognizeResponse) -> None:
        """See ``Stream``."""
        if message.WhichOneof("response") != "result":
            self._trailer.take(message)
        elif message.result.is_final:
            self._results.fill(self.response.results.add(), message)

    def _requests_of(self, recording: Recording, options: RivaOptions) -> Iterator[pb.RecognizeRequest]:
        if not recording.audio:
            raise InvalidRequest("the request has no audio; it carries a whole recording", field="audio")
        wanted = recording.request.config
        self._trailer.ask(wanted, "offline")
        self._trailer.note(note_of(wanted, options))
        config, ignored = config_from(wanted, recording.audio[:SNIFFED_BYTES], self.response.id.value, options)
        self._trailer.ignore(ignored)
        yield pb.RecognizeRequest(streaming_config=config)
        yield pb.RecognizeRequest(audio=recording.take_audio())
