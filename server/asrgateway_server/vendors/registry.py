"""The registry: one line for each vendor."""

from __future__ import annotations

from typing import Final

from asrgateway_server.backends.vendor import Vendors
from asrgateway_server.vendors.dashscope.vendor import DashScope
from asrgateway_server.vendors.pocketsphinx.vendor import PocketSphinx

VENDORS: Final[Vendors] = {
    "dashscope": DashScope(),
    "pocketsphinx": PocketSphinx(),
}
