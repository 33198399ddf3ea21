"""Write docs/settings.md from the server's settings, or check that it is fresh.

Run by `make docs` and `make check`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from asrgateway_server.settings import CONFIG_VARIABLE, PREFIX, Settings

PAGE: Final = Path(__file__).resolve().parent / "settings.md"

# Any: JSON Schema values.
Schema = Mapping[str, Any]

HEAD: Final = f"""# Settings

Written from `server/asrgateway_server/settings.py` by `make docs`.

Each setting is an environment variable, or a line of a YAML file that `{CONFIG_VARIABLE}` or `--config` names:

    {PREFIX}LISTEN=0.0.0.0:50051 asr-gateway serve

    asr-gateway serve --config gateway.yaml

```yaml
listen: 0.0.0.0:50051
log_level: DEBUG
```

Where both set the same, the variable wins. They are read once, at the start. A name that is misspelt or a value out of
range ends the program with exit code 2 and a sentence that says what would be right.

| Setting and variable | Default | Values | Meaning |
|---|---|---|---|
"""


def page() -> str:
    """Return the whole page."""
    properties = Settings.model_json_schema()["properties"]
    return HEAD + "".join(row(name, schema) for name, schema in properties.items())


def row(name: str, schema: Schema) -> str:
    """Return the table row of one setting."""
    meaning = " ".join(schema["description"].split())
    cells = (f"`{name}`<br>`{PREFIX}{name.upper()}`", default(name), values(schema), meaning)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def default(name: str) -> str:
    """Return the default; empty where the meaning tells it, or there is none."""
    field = Settings.model_fields[name]
    if field.default_factory or field.default in (None, ""):
        return ""
    return f"`{field.default:.10g}`" if isinstance(field.default, float) else f"`{field.default}`"


def values(schema: Schema) -> str:
    """Return what may be given."""
    if "$ref" in schema:
        return "`host:port`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        return values(schema["anyOf"][0])
    if schema["type"] == "string":
        return f"text that matches `{schema['pattern']}`" if "pattern" in schema else "text"
    return bounds(schema)


def bounds(schema: Schema) -> str:
    """Return the range of a number."""
    kind = "whole number" if schema["type"] == "integer" else schema["type"]
    words = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to"}
    return " ".join([kind, *(f"{word} {schema[bound]:.10g}" for bound, word in words.items() if bound in schema)])


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
