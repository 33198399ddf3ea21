"""The registry: one line for each vendor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from asrgateway_server.backends.vendor import Vendor
from asrgateway_server.vendors.dashscope.vendor import DashScope
from asrgateway_server.vendors.pocketsphinx.vendor import PocketSphinx

VENDORS: Final[Mapping[str, Vendor]] = {
    "dashscope": DashScope(),
    "pocketsphinx": PocketSphinx(),
}
