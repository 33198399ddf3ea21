"""DashScope on loopback: what the gateway and the vendor's own SDK talk to without an account."""

from dashscope_emulator.faults import Fault
from dashscope_emulator.knobs import Knobs
from dashscope_emulator.options import EmulatorOptions, add_arguments, options_from
from dashscope_emulator.server import Emulator, run, running_emulator

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
