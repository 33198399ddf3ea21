"""The descriptors of Riva's messages, apart from all others.

In the process's own pool they would collide with NVIDIA's package, which has the same names in other files.
"""

from __future__ import annotations

from typing import Final

from google.protobuf.descriptor_pool import DescriptorPool

_POOL: Final = DescriptorPool()


def Default() -> DescriptorPool:  # noqa: N802 what generated code calls
    """Return the pool."""
    return _POOL
