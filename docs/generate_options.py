"""Write docs/options.md, what each model makes of each option, or check that it is fresh.

Run by `make docs` and `make check`. The rows come from the contract, the cells from the catalogue.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from google.protobuf.descriptor import Descriptor

from asrgateway.v1 import recognition_pb2 as pb
from asrgateway_server.backends.vendor import settings_class
from asrgateway_server.models import Model
from asrgateway_server.served_models import served_models
from asrgateway_server.vendors.registry import VENDORS

PAGE: Final = Path(__file__).resolve().parent / "options.md"

#: What a model may be unable to honour; every other field is the gateway's own affair.
MODEL_FIELDS: Final = ("endpointing", "features", "adaptation", "keep_alive", "vendor_parameters")

HEAD: Final = """# Options and models

Written from the contract and the catalogue by `make docs`.

**yes**: the model supports it, by a parameter or because it always works so. **on**, **off**: the model always or never
does it; the other value gives a warning. **-**: ignored with a warning (`OPTION_IGNORED`), or with `strict` an
INVALID_ARGUMENT that names the field. `tests/conformance/test_options.py` sends every option to every model and checks
what the vendor receives; `tests/conformance/options.py` names the proof of each row.

"""

TAIL: Final = """
The other fields of `StreamingConfig` are the gateway's own, the same with every model: `model`, `decoding_config`,
`language_codes`, `interim_results`, `strict`, `fail_on_audio_loss`, `request_id` and `resume`.

`fail_on_audio_loss` ends a call with DATA_LOSS where `AUDIO_DROPPED` would be sent: see [reliability](reliability.md).

Updates during a call replace the adaptation; an empty one removes it. Models that take them: """

LANGUAGES = """
## Languages

Codes are BCP-47. The vendor's models have no regions: `en-US` and `en-GB` both become `en`. Only in Chinese the region
matters: `zh-HK` and `zh-MO` are Cantonese, `yue`. Other codes of a language work too: `cmn`, `nan` and `wuu` are `zh`,
`nb` and `nn` are `no`, `fil` and `tl` are whichever of the two the model has.

A language that the model does not receive as it is gives a warning, or with `strict` an INVALID_ARGUMENT, that names
its position, such as `language_codes[1]`. Either the model does not recognise it (LANGUAGE_UNSUPPORTED), or `zh-HK`
becomes `zh` because the model has no `yue` (OPTION_CHANGED), or the model takes fewer languages (OPTION_IGNORED):

| Models | Languages that the model takes |
|---|---|
"""

VENDOR_PARAMETERS = """
## Vendor parameters

`vendor_parameters` is for what the contract does not name. Whole numbers are sent as integers. A parameter that the
gateway sets itself is refused with INVALID_ARGUMENT, with or without `strict`; use the model's option instead:

| Name | Option |
|---|---|
"""


def page() -> str:
    """Return the whole page."""
    models = [model for _, model in sorted(catalogue().items())]
    lines = [
        "| Option | " + " | ".join(f"`{model.name}`" for model in models) + " |",
        "|---|" + "---|" * len(models),
    ]
    lines += [
        f"| `{path}` | " + " | ".join(cell(model, path) for model in models) + " |"
        for path in fields(pb.StreamingConfig.DESCRIPTOR)
    ]
    table = "\n".join(lines) + "\n"
    return (
        HEAD + table + TAIL + updates(models) + LANGUAGES + languages(models) + VENDOR_PARAMETERS + parameters(models)
    )


def catalogue() -> dict[str, Model]:
    """Return the built-in models, those that are only dated names of another one left out."""
    settings = settings_class(VENDORS).from_environment({"DASHSCOPE_API_KEY": "any"})
    served = served_models(settings, VENDORS).models
    return {name: model for name, model in served.items() if not name[-1].isdigit() or name.startswith("paraformer")}


def fields(message: Descriptor, path: str = "") -> Iterator[str]:
    """Yield the paths of the options that a model may lack."""
    for field in message.fields:
        here = f"{path}{field.name}"
        if not path and field.name not in MODEL_FIELDS:
            continue
        inner = field.message_type
        if inner and inner.file.package == "asrgateway.v1" and inner.fields and not field.is_repeated:
            yield from fields(inner, f"{here}.")
        else:
            yield here


def cell(model: Model, path: str) -> str:
    """Return how a model handles an option."""
    parts = path.split(".")
    if any(".".join(parts[:count]) in model.options for count in range(1, len(parts) + 1)):
        return "yes"
    if f"{path}=true" in model.options:
        return "on"
    return "off" if f"{path}=false" in model.options else "-"


def updates(models: list[Model]) -> str:
    """Return which models take which updates."""
    takers = [
        (model.name, sorted(option.rpartition(".")[2] for option in model.options if option.startswith("update.")))
        for model in models
    ]
    return "; ".join(f"`{name}`: {', '.join(parts)}" for name, parts in takers if parts) + ".\n"


def languages(models: list[Model]) -> str:
    """Return how many language hints each model takes."""
    by_rule: dict[str, list[str]] = {}
    for model in models:
        by_rule.setdefault(rule(model), []).append(f"`{model.name}`")
    return "".join(f"| {', '.join(names)} | {text} |\n" for text, names in by_rule.items())


def rule(model: Model) -> str:
    """Return how many language hints a model takes."""
    if len(model.language_codes) == 1:
        return f"none: it recognises only `{model.language_codes[0]}`"
    if not model.max_language_hints:
        return "none: it finds the language by itself"
    if model.is_bound_by_hints:
        return f"{model.max_language_hints}; with more languages it gets none, and finds the language by itself"
    return f"the first {model.max_language_hints}" if model.max_language_hints > 1 else "the first"


def parameters(models: list[Model]) -> str:
    """Return the parameters that are refused, each with its option."""
    found: dict[str, str] = {}
    for model in models:
        found |= model.owned_parameters
    return "".join(
        f"| `{name}` | {option or 'none: it has only one value'} |\n" for name, option in sorted(found.items())
    )


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
