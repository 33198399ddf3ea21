"""Write docs/emulator.md, which lists every knob and every fault of the emulator, or check that it is fresh.

Run by `make docs` and `make check`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import Field, fields
from enum import Enum
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints

from dashscope_emulator.faults import ACTIONS, usual_phase
from dashscope_emulator.knobs import Knobs

PAGE: Final = Path(__file__).resolve().parent / "emulator.md"

#: Sections of the table of knobs, by the first knob of each.
SECTIONS: Final = {
    "missing_key_status": "Keys",
    "unknown_model": "Dialect A: requests and their order",
    "duration_rounding": "Dialect A: events",
    "start_seconds": "Dialect A: time",
    "connection_seconds": "Connections of both dialects",
    "session_sample_rate_echoed": "Dialect B",
    "vocabulary_lists": "Hot words and decoders",
}

TYPES: Final = {bool: "true, false", int: "whole number", float: "number", str: "text", type(None): "null"}

HEAD: Final = """# The emulator

The tables are written from `server/dashscope_emulator/` by `make docs`.

`asr-gateway emulator`, or `python -m dashscope_emulator`, is DashScope (Model Studio) on your machine: real-time speech
recognition in both WebSocket dialects, the HTTP API for hot words, and temporary tokens. The vendor's SDKs for Python
and Java work with it; set these before the SDK is imported:

    DASHSCOPE_API_KEY=any
    DASHSCOPE_WEBSOCKET_BASE_URL=ws://127.0.0.1:8765/api-ws/v1/inference
    DASHSCOPE_HTTP_BASE_URL=http://127.0.0.1:8765/api/v1

Dialect A is `/api-ws/v1/inference` (Paraformer, Fun-ASR, Qwen-Audio), dialect B is `/api-ws/v1/realtime` (Qwen3-ASR).
`--help` lists the arguments.

## By example

Emulator and gateway run until Ctrl-C, each in a terminal of its own. The gateway stays for all examples; stop only the
emulator, and start it anew for the next one:

    ASRGATEWAY_DASHSCOPE_URL=ws://127.0.0.1:8765 DASHSCOPE_API_KEY=any asr-gateway serve

### Texts of your own

A script says what is recognised, and when, whatever the audio is:

```yaml
# script.yaml
events:
  - {at_ms: 500, text: "please open"}
  - {at_ms: 1500, text: "Please open the door.", final: true}
```

    asr-gateway emulator --recognizer script --script script.yaml

Any recording of two seconds will do:

    asr-client file clients/recordings/boy.wav --model paraformer-realtime-v2

```text
Please open the door.
```

### A connection that drops

A fault says what goes wrong, and where. The first task loses its connection after a second of audio:

```yaml
# faults.yaml
faults:
  - {action: drop, audio_ms: 1000, times: 1}
```

    asr-gateway emulator --recognizer script --script script.yaml --faults faults.yaml

The gateway reconnects, and the text is the same. `--json` shows the event:

    asr-client file clients/recordings/boy.wav --model paraformer-realtime-v2 --json | grep -o EVENT_TYPE_RECONNECTED

```text
EVENT_TYPE_RECONNECTED
```

### A vendor that refuses

Every handshake is answered with 403, which no other attempt would change:

```yaml
# refused.yaml
faults:
  - {action: refuse, status: 403}
```

    asr-gateway emulator --faults refused.yaml

    asr-client file clients/recordings/boy.wav --model paraformer-realtime-v2

```text
asr-client: FAILED_PRECONDITION: the vendor rejected the gateway's key or its right to the workspace
```

With `{action: throttle, starts_per_second: 0}` it is RESOURCE_EXHAUSTED. With `{action: stall}` the gateway starts
another task after `upstream_stall_timeout_seconds`.

### Behaviour that nobody has documented

A knob chooses what the emulator does where no source says what the vendor does. Here a connection lives for one
second, so that a call of two seconds needs several:

```yaml
# knobs.yaml
connection_seconds: 1
```

    asr-gateway emulator --recognizer script --script script.yaml --knobs knobs.yaml --journal journal.jsonl

    asr-client file clients/recordings/boy.wav --model paraformer-realtime-v2

```text
Please open the door.
```

The journal has a line for each task, here the lost one and its successor:

    grep -o '"outcome": "[a-z]*"' journal.jsonl | sort -u

```text
"outcome": "disconnected"
"outcome": "finished"
```

### A test of your own

In Python the emulator runs inside the test. This one lets the vendor's SDK recognise a second of anything:

```python
import asyncio
import os

from dashscope_emulator import EmulatorOptions, Fault, Knobs, running_emulator
from dashscope_emulator.faults import Delay
from dashscope_emulator.recognizers.script import Script, say


def recognise(url: str) -> list[str]:
    os.environ |= {"DASHSCOPE_API_KEY": "any", "DASHSCOPE_WEBSOCKET_BASE_URL": f"{url}/api-ws/v1/inference"}
    from dashscope.audio.asr import Recognition, RecognitionCallback

    model = "paraformer-realtime-v2"
    recognition = Recognition(model=model, format="pcm", sample_rate=16000, callback=RecognitionCallback())
    with open("second.pcm", "wb") as file:
        file.write(bytes(32_000))
    return [sentence["text"] for sentence in recognition.call("second.pcm").get_sentence()]


async def main() -> None:
    options = EmulatorOptions(
        recognizer="script",
        script=Script(lines=(say(500, "Good morning.", final=True),)),
        faults=(Fault(action=Delay(delay_ms=20)),),
        knobs=Knobs(start_seconds=0.1),
    )
    async with running_emulator(options) as emulator:
        print(await asyncio.to_thread(recognise, emulator.url))
        print([(task.model, task.audio_ms, task.outcome) for task in emulator.journals])


asyncio.run(main())
```

```text
['Good morning.']
[('paraformer-realtime-v2', 1000, 'finished')]
```

`time_scale=100` makes the vendor's limits of seconds fit for tests: 23 s without audio become 0.23 s.

## Recognisers

- `pocketsphinx` recognises US English, in a process for each task.
- `script` emits texts when so much audio has come, whatever the audio is: `--script FILE`. Without a file it emits ten
  words every 300 ms and a final every 4 s, for load tests.
- `markers` reads test audio whose blocks of 10 ms carry a number (`dashscope_emulator.recognizers.markers.marker_audio`
  makes it), so that lost, repeated and reordered audio shows in the text and in the journal.

A script for `script`; times are milliseconds of the task's audio:

```yaml
delay_ms: 30          # from the audio that makes an event due to its message; 0 by default
repeat_ms: 4000       # all events again, that much later, without end; once by default
events:
  - {at_ms: 200, text: "please open"}
  - {at_ms: 900, text: "please open the", fixed: 2}       # the first two words will not change
  - {at_ms: 2000, text: "Please open the door.", begin_ms: 120, end_ms: 1700, final: true}
```

`begin_ms` is by default where the last sentence ended, `end_ms` is `at_ms`. A final may have `stash`, the beginning of
the next sentence. `{monotonic_ns}` in a text becomes the monotonic clock when it is sent, in 19 digits.

A script for `markers`; word `k` covers the blocks `30 k` to `30 k + 29` of the whole recording:

```yaml
blocks_per_word: 30
words: [please, open, the, door]
```

## Faults

`--faults FILE` is YAML or JSON:

```yaml
faults:
  - {action: refuse, status: 503, connections: [1, 2]}
  - {action: stall, phase: start, model: fun-asr-realtime}
  - {action: throttle, starts_per_second: 20}
  - {action: drop, audio_ms: 7000}
  - {action: task_failed, code: InternalError, tasks: 3, audio_ms: 500}
  - {action: garble, kind: broken_json, packets: 30, times: 1}
```

| Action | Keys and defaults | Usual phase | What happens |
|---|---|---|---|
"""

SELECTION: Final = """
These keys select where a fault is applied, once for each task; all are optional:

| Key | Meaning |
|---|---|
| `phase` | `handshake`: before the upgrade is answered. `start`: before `task-started` or `session.created`. `speech`: while audio comes. `finish`: after the last result, before `task-finished` or `session.finished`. With `audio_ms` or `packets` it is `speech`, otherwise the usual phase of the action. |
| `connections`, `tasks` | A number or a list of them, from 1 over the life of the emulator; refused handshakes count. |
| `model` | Only this model. In the handshake, dialect A names none. |
| `audio_ms`, `packets` | In `speech`: once so much audio, or so many audio messages, of the task have come. |
| `times` | How often at most in the life of the emulator; 0 = always. |

Seconds of faults are real ones: `--time-scale` does not change them.

## Knobs

A knob is a setting for something that no source states about the vendor, or that is worth varying in tests.
`--knobs FILE` is YAML or JSON:

```yaml
bad_key_status: 403
silence_ends: close
session_finish_closes: true
```

All `_seconds` are divided by `--time-scale`, unless the table says otherwise.
"""  # noqa: E501  (a table has long lines)

JOURNAL: Final = """
## Journal

`--journal FILE` gets one JSON line for each finished task: numbers of connection and task, model, audio messages, audio
in ms, outcome (`finished`, `failed`, `disconnected`), and for `markers` the blocks as runs of `[first, count]`, and the
bytes of silence and of damage between them. It never has keys, hot words or text.
"""


def page() -> str:
    """Return the whole page."""
    return HEAD + "".join(map(fault_row, ACTIONS)) + SELECTION + "".join(knob_rows()) + JOURNAL


def fault_row(name: str) -> str:
    """Return the table row of one action."""
    action = ACTIONS[name]
    keys = ", ".join(f"`{field.name}: {shown(field.default)}`" for field in fields(action))
    return f"| `{name}` | {keys} | {usual_phase({'action': name}).value} | {action.__doc__} |\n"


def knob_rows() -> Iterator[str]:
    """Yield the tables of knobs, one for each section."""
    hints = get_type_hints(Knobs)
    for field in fields(Knobs):
        if field.name in SECTIONS:
            yield f"\n### {SECTIONS[field.name]}\n\n| Knob | Values | Default | Meaning | The vendor's documents |\n"
            yield "|---|---|---|---|---|\n"
        yield knob_row(field, hints[field.name])


def knob_row(field: Field[Any], hint: Any) -> str:  # a type, or one of typing's forms of it
    """Return the table row of one knob."""
    meaning, vendor = field.metadata["meaning"], field.metadata["vendor"]
    return f"| `{field.name}` | {values(hint)} | `{shown(field.default)}` | {meaning} | {vendor} |\n"


def values(hint: Any) -> str:  # see ``knob_row``
    """Return what a knob can be."""
    if hint == tuple[str, ...]:
        return "list of texts"
    return ", ".join(TYPES.get(part, f"`{part}`") for part in get_args(hint) or (hint,))


def shown(value: object) -> str:
    """Return a value as a file has it."""
    return str(value.value) if isinstance(value, Enum) else json.dumps(value)


def main() -> None:
    """Write the page, or with ``--check`` compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if the page is not fresh")
    if not parser.parse_args().check:
        PAGE.write_text(page(), encoding="utf-8")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != page():
        sys.exit(f"not fresh, run `make docs`: {PAGE.name}")


if __name__ == "__main__":
    main()
