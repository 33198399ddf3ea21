"""What it means that a message of the vendor does not fit the type that its manual promises."""

from __future__ import annotations

from typing import Final

import msgspec

from asrgateway_server.errors import UpstreamProtocolError

#: What a decoder raises; the second where half a character came through the vendor's own SDK, which decodes first.
BROKEN: Final = (msgspec.DecodeError, UnicodeEncodeError)


def protocol_error(error: msgspec.DecodeError | UnicodeEncodeError) -> UpstreamProtocolError:
    """Return the error to raise. It names the field and both types, and never what stood there."""
    if isinstance(error, msgspec.ValidationError):
        return UpstreamProtocolError(f"the vendor's message is not what its manual promises: {error}")
    return UpstreamProtocolError("the vendor sent text that is not JSON")
