"""What the operator chooses of the embedded recogniser."""

from __future__ import annotations

import os
from typing import Annotated

from pydantic import Field

from asrgateway_server.settings import Settings


class PocketSphinxSettings(Settings):
    """The vendor's settings, beside the gateway's own."""

    embedded_workers: Annotated[int, Field(ge=0, le=256)] | None = None
    """Worker processes of the embedded recogniser, 105 MB each: as many calls may speak to it at once; one more is
    refused with RESOURCE_EXHAUSTED at its first audio. 0: the model is not served. Default: one for each core, loaded
    at the start, or by the first calls if there is a key and the model is neither the default nor an alias."""

    @property
    def worker_count(self) -> int:
        """How many embedded workers there may be."""
        return len(os.sched_getaffinity(0)) if self.embedded_workers is None else self.embedded_workers
