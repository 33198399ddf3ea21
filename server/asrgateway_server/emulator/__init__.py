"""DashScope on loopback: what the gateway and the vendor's own SDK talk to without an account."""

from asrgateway_server.emulator.faults import Fault
from asrgateway_server.emulator.knobs import Knobs
from asrgateway_server.emulator.options import EmulatorOptions, add_arguments, options_from
from asrgateway_server.emulator.server import Emulator, run, running_emulator

__all__ = [
    "Emulator",
    "EmulatorOptions",
    "Fault",
    "Knobs",
    "add_arguments",
    "options_from",
    "run",
    "running_emulator",
]
