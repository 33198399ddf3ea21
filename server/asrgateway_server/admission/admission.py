"""What every door uses."""

from __future__ import annotations

from dataclasses import dataclass

from asrgateway_server.admission.drain import Drain
from asrgateway_server.admission.keys import ClientKeys
from asrgateway_server.admission.peer_calls import PeerCalls
from asrgateway_server.admission.recognitions import Recognitions
from asrgateway_server.metrics import Metrics
from asrgateway_server.tracing import Tracer


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What every door uses.

    Attributes:
        recognitions: Runs the calls.
        keys: Those of clients; None where no key is required.
        peer_calls: Limits the open calls of one address.
        drain: Ends the calls when the gateway stops.
        metrics: Count them.
        tracer: Traces them.
    """

    recognitions: Recognitions
    keys: ClientKeys | None
    peer_calls: PeerCalls
    drain: Drain
    metrics: Metrics
    tracer: Tracer
