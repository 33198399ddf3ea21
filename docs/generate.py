"""Write docs/settings.md from the server's settings, or check that it is fresh.

Run by `make docs` and `make check`.
"""

from __future__ import annotations

import argparse
import ast
import functools
import inspect
import sys
import textwrap
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from asrgateway_server.backends.vendor import settings_class
from asrgateway_server.settings import CONFIG_VARIABLE, PREFIX, record_of
from asrgateway_server.vendors.registry import VENDORS

SETTINGS: Final = settings_class(VENDORS)
PAGE: Final = Path(__file__).resolve().parent / "settings.md"

# Any: JSON Schema values.
Schema = Mapping[str, Any]

HEAD: Final = f"""# Settings

Written from the settings of the server and of its vendors by `make docs`.

Each setting is an environment variable, or a line of a YAML file that `{CONFIG_VARIABLE}` or `--config` names:

    {PREFIX}LISTEN=127.0.0.1:6000 asr-gateway serve

    asr-gateway serve --config gateway.yaml

```yaml
listen: 127.0.0.1:6000
log_level: DEBUG
```

Lists and mappings are written in JSON in a variable: `ASRGATEWAY_ALIASES='{{"fast": ["first", "second"]}}'`.

Where both set the same, the variable wins. They are read once, at the start. A name that is misspelt or a value out of
range ends the program with exit code 2 and a sentence that says what would be right.

| Setting and variable | Default | Values | Meaning |
|---|---|---|---|
"""


#: What is said of the settings that hold records.
RECORDS: Final = {
    "endpoints": "A mapping; each name stands for a mapping of these.",
    "models": "A list; each item is a mapping of these. [An example](models.md).",
}
RECORD_HEAD: Final = """
## {name}

{paragraph}

| Key | Values | Meaning |
|---|---|---|
"""


def page() -> str:
    """Return the whole page."""
    properties = SETTINGS.model_json_schema()["properties"]
    return (
        HEAD
        + "".join(row(name, schema) for name, schema in properties.items())
        + "".join(section(name, record) for name in properties if (record := record_of(SETTINGS, name)))
    )


def row(name: str, schema: Schema) -> str:
    """Return the table row of one setting."""
    return line(f"`{name}`<br>`{PREFIX}{name.upper()}`", default(name), values(schema), meanings(SETTINGS)[name])


def section(name: str, record: type[BaseModel]) -> str:
    """Return the description of a setting that holds records."""
    properties = record.model_json_schema()["properties"]
    rows = (
        line(f"`{key}`", values(schema), meanings(record)[key])
        for key, schema in properties.items()
        if not record.model_fields[key].exclude
    )
    return RECORD_HEAD.format(name=name, paragraph=RECORDS[name]) + "".join(rows)


def line(*cells: str) -> str:
    """Return one line of a table."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


@functools.cache
def meanings(model: type[BaseModel]) -> Mapping[str, str]:
    """Return the docstring below each field, of the classes above too, in one line.

    Pydantic can do that, but it does it wherever the classes are imported: a fifth of the time that a gateway takes to
    start.
    """
    found: dict[str, str] = {}
    for owner in reversed([one for one in model.__mro__ if issubclass(one, BaseModel) and has_source(one)]):
        source = ast.parse(textwrap.dedent(inspect.getsource(owner)))
        for field, below in pairwise(one for top in source.body if isinstance(top, ast.ClassDef) for one in top.body):
            match field, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    found[name] = " ".join(text.split())
    return found


def has_source(model: type[BaseModel]) -> bool:
    """Whether the class stands in a file; the one with all vendors' settings is made when it is needed."""
    try:
        inspect.getsource(model)
    except (OSError, TypeError):
        return False
    return True


def default(name: str) -> str:
    """Return the default; empty if the description has it, or there is none."""
    field = SETTINGS.model_fields[name]
    if field.default_factory or field.default in (None, "", (), {}):
        return ""
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
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
        return text(schema)
    return collection(schema) if schema["type"] in {"array", "object"} else bounds(schema)


def text(schema: Schema) -> str:
    """Return the form of a text."""
    if "pattern" in schema:
        return f"text that matches `{schema['pattern']}`"
    return "date" if schema.get("format") == "date" else "text"


def collection(schema: Schema) -> str:
    """Return what a list or mapping holds."""
    if schema["type"] == "array":
        return "list of mappings" if "$ref" in schema["items"] else f"list of {values(schema['items'])}"
    (inner,) = schema["patternProperties"].values()
    kind = {"array": "names, or to lists of names", "string": "names"}.get(inner.get("type", ""), "mappings")
    return f"mapping of names to {kind}"


def bounds(schema: Schema) -> str:
    """Return the range of a number, or the values of a switch."""
    if schema["type"] == "boolean":
        return "`true` or `false`"
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
