"""What the gateway accepts of metadata for vendors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from asrgateway_server.admission.vendor_metadata import VendorMetadata
from asrgateway_server.errors import InvalidRequest
from asrgateway_server.vendors.registry import VENDORS

KEY, WORKSPACE = "x-dashscope-api-key", "x-dashscope-workspace"
CLIENTS_VALUE = "sk-of-the-client"

Metadata = Sequence[tuple[str, str | bytes]]


def read(metadata: Metadata, *, is_allowed: bool = True) -> Mapping[str, str]:
    found = VendorMetadata(VENDORS, is_allowed=is_allowed).read(metadata)
    return {name: value.get_secret_value() for name, value in found.items()}


def test_metadata_of_a_vendor_is_read_by_its_name() -> None:
    assert read([(KEY, CLIENTS_VALUE), (WORKSPACE, "ws-1")]) == {KEY: CLIENTS_VALUE, WORKSPACE: "ws-1"}


def test_other_metadata_is_left_out() -> None:
    assert read([("authorization", "Bearer key"), ("user-agent", "test")], is_allowed=False) == {}


def test_blanks_around_a_value_do_not_count() -> None:
    assert read([(KEY, f" {CLIENTS_VALUE}\t")]) == {KEY: CLIENTS_VALUE}


def test_a_key_is_not_shown_where_it_is_logged() -> None:
    assert CLIENTS_VALUE not in repr(VendorMetadata(VENDORS, is_allowed=True).read([(KEY, CLIENTS_VALUE)]))


@pytest.mark.parametrize(
    ("metadata", "is_allowed", "message"),
    [
        ([(KEY, CLIENTS_VALUE)], False, "accepts no callers' keys"),
        ([(KEY, CLIENTS_VALUE), (KEY, CLIENTS_VALUE)], True, "came twice; send it once"),
        ([(KEY, CLIENTS_VALUE.encode())], True, KEY),
        ([(KEY, "")], True, KEY),
    ],
    ids=["not allowed", "twice", "binary", "empty"],
)
def test_metadata_that_is_not_accepted_is_named_and_not_shown(
    metadata: Metadata, is_allowed: bool, message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message) as caught:
        read(metadata, is_allowed=is_allowed)
    assert caught.value.field == KEY
    assert CLIENTS_VALUE not in caught.value.message
