"""Riva's messages are described apart from all others, by the names and numbers that its clients use."""

from __future__ import annotations

from google.protobuf import descriptor_pool

from asrgateway_server.metrics import RIVA_METHODS, RIVA_SERVICE
from asrgateway_server.riva_api import asr_pb2 as asr
from asrgateway_server.riva_api import common_pb2 as common


def test_the_descriptors_are_not_in_the_pool_of_the_process() -> None:
    assert asr.DESCRIPTOR.pool is not descriptor_pool.Default()


def test_the_metrics_know_every_method_of_the_service() -> None:
    service = asr.DESCRIPTOR.services_by_name["RivaSpeechRecognition"]
    assert service.full_name == RIVA_SERVICE
    assert [method.name for method in service.methods] == sorted(RIVA_METHODS, key=list(service.methods_by_name).index)


def test_unknown_fields_are_kept() -> None:
    beyond_all_fields = b"\xc2\x3e\x05later"  # Field 1000.
    message = asr.StreamingRecognizeRequest.FromString(b"\x12\x02ab" + beyond_all_fields)
    assert message.audio_content == b"ab"
    assert message.SerializeToString().endswith(beyond_all_fields)


def test_the_numbers_are_those_of_the_wire() -> None:
    config = asr.RecognitionConfig(encoding=common.ALAW, sample_rate_hertz=8000, model="m", verbatim_transcripts=True)
    assert config.SerializeToString() == b"\x08\x14\x10\xc0\x3e\x6a\x01m\x70\x01"
