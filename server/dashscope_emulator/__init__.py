"""DashScope on loopback: what the gateway and the vendor's own SDK talk to without an account."""

from dashscope_emulator.command import main
from dashscope_emulator.faults import Fault
from dashscope_emulator.knobs import Knobs
from dashscope_emulator.options import EmulatorOptions
from dashscope_emulator.server import Emulator, running_emulator

__all__ = [
    "Emulator",
    "EmulatorOptions",
    "Fault",
    "Knobs",
    "main",
    "running_emulator",
]
