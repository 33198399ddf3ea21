"""Writes the samples that FFmpeg cannot encode, Speex and AMR-WB, from a recording of this project and from chirps.

    PYTHONPATH=tests python -m make_samples

It needs `speexenc` and `libvo-amrwbenc.so.0`, in Debian the packages `speex` and `libvo-amrwbenc0`. The samples are
committed: whoever runs the tests needs neither.
"""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
import wave
from pathlib import Path
from typing import Final

from coded_audio import HERE, RATE_HERTZ, chirps
from coded_speech import pcm as speech

_FRAME_SAMPLES: Final = 320
# 23.85 kbit/s.
_BEST_MODE: Final = 8


def speex(pcm: bytes) -> bytes:
    """Encode wide-band Speex in Ogg."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.wav", Path(folder) / "out.spx"
        with wave.open(str(source), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE_HERTZ)
            file.writeframes(pcm)
        subprocess.run(["speexenc", "-w", "--quality", "10", source, target], check=True, capture_output=True)
        return target.read_bytes()


def amr_wb(pcm: bytes) -> bytes:
    """Encode an AMR-WB file."""
    library = ctypes.CDLL("libvo-amrwbenc.so.0")
    library.E_IF_init.restype = ctypes.c_void_p
    coder = ctypes.c_void_p(library.E_IF_init())
    frames = []
    for start in range(0, len(pcm), 2 * _FRAME_SAMPLES):
        samples = (ctypes.c_short * _FRAME_SAMPLES).from_buffer_copy(
            pcm[start : start + 2 * _FRAME_SAMPLES].ljust(2 * _FRAME_SAMPLES, b"\0")
        )
        frame = ctypes.create_string_buffer(64)
        size = library.E_IF_encode(coder, _BEST_MODE, samples, frame, 0)
        frames.append(frame.raw[:size])
    library.E_IF_exit(coder)
    return b"#!AMR-WB\n" + b"".join(frames)


if __name__ == "__main__":
    for name, pcm in (("speech", speech()), ("chirps", chirps())):
        (HERE / f"{name}.awb").write_bytes(amr_wb(pcm))
        (HERE / f"{name}.spx").write_bytes(speex(pcm))
