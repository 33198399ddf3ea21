"""What the operator chooses of the echo."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from asrgateway_server.settings import Settings


class EchoSettings(Settings):
    """The vendor's settings, beside the gateway's own."""

    echo_url: Annotated[str, Field(pattern=r"^wss?://[^/]+$")] = "ws://127.0.0.1:9000"
    """Scheme, host and port of the echo."""

    echo_key: str = "open sesame"
    """What it is shown."""
