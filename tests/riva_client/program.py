"""Calls a gateway with NVIDIA's client; run in its environment. Prints one JSON object.

The argument is a JSON object: `action` (stream, offline or models), `target`, and what else the action reads.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import grpc
import riva.client
import riva.client.proto.riva_asr_pb2 as messages
from google.protobuf.json_format import MessageToDict

Asked = Mapping[str, Any]  # Any: JSON values


def service(asked: Asked) -> riva.client.ASRService:
    certificate = asked.get("ca_file")
    auth = riva.client.Auth(
        uri=asked["target"],
        use_ssl=certificate is not None,
        ssl_root_cert=certificate,
        metadata_args=asked.get("metadata", []),
    )
    return riva.client.ASRService(auth)


def config_of(asked: Asked) -> riva.client.RecognitionConfig:
    config = riva.client.RecognitionConfig(**asked.get("config", {}))
    if words := asked.get("boosted_words"):
        riva.client.add_word_boosting_to_config(config, words, 10.0)
    if asked.get("diarization"):
        riva.client.add_speaker_diarization_to_config(config, diarization_enable=True, diarization_max_speakers=2)
    return config


def pieces(asked: Asked) -> Iterator[bytes]:
    """A file as NVIDIA's scripts read it, header included; or samples in messages of one size."""
    if asked["frames"]:
        yield from riva.client.AudioChunkFileIterator(asked["file"], asked["frames"])
    else:
        data, size = Path(asked["file"]).read_bytes(), asked["message_bytes"]
        yield from (data[start : start + size] for start in range(0, len(data), size))


def stream(asked: Asked) -> Asked:
    config = riva.client.StreamingRecognitionConfig(
        config=config_of(asked), interim_results=asked.get("interim", False)
    )
    responses, shown = [], io.StringIO()

    def kept() -> Iterator[messages.StreamingRecognizeResponse]:
        for response in service(asked).streaming_response_generator(pieces(asked), config):
            responses.append(response)
            yield response

    riva.client.print_streaming(kept(), output_file=shown, additional_info="time", word_time_offsets=True)
    results = [MessageToDict(result) for response in responses for result in response.results]
    return {"results": results, "shown": shown.getvalue()}


def offline(asked: Asked) -> Asked:
    response = service(asked).offline_recognize(Path(asked["file"]).read_bytes(), config_of(asked))
    return {"results": [MessageToDict(result) for result in response.results]}


def models(asked: Asked) -> Asked:
    """The models for live audio by language, as NVIDIA's script lists them."""
    response = service(asked).stub.GetRivaSpeechRecognitionConfig(messages.RivaSpeechRecognitionConfigRequest())
    online = [each for each in response.model_config if each.parameters["type"] == "online"]
    return {"models": sorted([each.parameters["language_code"], each.model_name] for each in online)}


ACTIONS: Mapping[str, Callable[[Asked], Asked]] = {"stream": stream, "offline": offline, "models": models}


def main() -> None:
    asked = json.loads(sys.argv[1])
    try:
        told = {"code": "OK", **ACTIONS[asked["action"]](asked)}
    except grpc.RpcError as error:
        call = cast("grpc.Call", error)  # Each of a call's errors is one.
        told = {"code": call.code().name, "details": call.details()}
    print(json.dumps(told))  # noqa: T201 the test reads it


if __name__ == "__main__":
    main()
