"""Another service on the gRPC port, beside the contract's."""

from __future__ import annotations

from dataclasses import dataclass

import grpc
from google.protobuf.descriptor import FileDescriptor


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcService:
    """A service.

    Attributes:
        name: Its full name; ``metrics.METHODS_OF`` has its methods.
        handler: Answers its calls.
        file: Describes it.
        shortest_failure_seconds: See ``CallInterceptor``.
    """

    name: str
    handler: grpc.GenericRpcHandler
    file: FileDescriptor
    shortest_failure_seconds: float
