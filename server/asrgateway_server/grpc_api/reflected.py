"""What reflection describes."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.rpc import error_details_pb2, status_pb2
from grpc_reflection.v1alpha import reflection_pb2

from asrgateway.v1 import recognition_pb2

# What tools need for any call: the contract, the details of its errors, and reflection itself.
_OWN_FILES: tuple[FileDescriptor, ...] = (
    recognition_pb2.DESCRIPTOR,
    error_details_pb2.DESCRIPTOR,
    status_pb2.DESCRIPTOR,
    reflection_pb2.DESCRIPTOR,
)


def pool_of(others: Iterable[FileDescriptor]) -> DescriptorPool:
    """Return a pool with our own files, those of other services, and all that they import."""
    pool = DescriptorPool()
    added: set[str] = set()
    for file in (*_OWN_FILES, *others):
        _add(file, pool, added)
    return pool


def _add(file: FileDescriptor, pool: DescriptorPool, added: set[str]) -> None:
    if file.name in added:
        return
    added.add(file.name)
    for imported in file.dependencies:
        _add(imported, pool, added)
    pool.AddSerializedFile(file.serialized_pb)
