"""What the operator allows at the edge."""

from __future__ import annotations

from dataclasses import dataclass

from asrgateway_server.admission.vendor_metadata import VendorMetadata


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeLimits:
    """What the operator allows at the edge.

    Attributes:
        max_streams: Open Recognize calls.
        max_client_streams: Those of one client; 0: as many as there are.
        max_client_starts_per_minute: How many one client may start; 0: as many as it likes.
        max_commits_per_minute: Commits of one call.
        vendor_metadata: Reads what clients bring for vendors.
        max_message_bytes: Largest audio message.
        config_timeout_seconds: How long a call may take to send its config.
        first_audio_timeout_seconds: How long it may then take to send the first audio.
        write_timeout_seconds: How long a client may leave a response unread.
    """

    max_streams: int
    max_message_bytes: int
    config_timeout_seconds: float
    first_audio_timeout_seconds: float
    write_timeout_seconds: float
    max_commits_per_minute: int
    vendor_metadata: VendorMetadata
    max_client_streams: int = 0
    max_client_starts_per_minute: int = 0
