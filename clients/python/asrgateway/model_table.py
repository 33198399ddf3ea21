"""The models of a gateway as a table."""

import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Final

from rich.cells import cell_len

from asrgateway.v1.recognition_pb2 import ListModelsResponse, Model, ModelAlias, ModelFeature

_HEADINGS: Final = ("NAME", "BACKEND", "LANGUAGES", "RATES", "FEATURES", "ALIASES")
_CELL_COLUMNS: Final = 40


def model_table(response: ListModelsResponse) -> Iterator[str]:
    """Yield the lines of the table; long cells continue in the next line."""
    rows = [_HEADINGS, *(_row(model, response) for model in response.models)]
    cells = [[_wrapped(text) for text in row] for row in rows]
    columns = [max(cell_len(line) for row in cells for line in row[number]) for number in range(len(_HEADINGS))]
    for row in cells:
        for line in zip_longest(*row, fillvalue=""):
            yield _padded(line, columns)


def _row(model: Model, response: ListModelsResponse) -> tuple[str, ...]:
    return (
        model.name,
        model.backend,
        ", ".join(model.language_codes),
        ", ".join(map(str, model.sample_rates_hertz)) or "any",
        ", ".join(ModelFeature.Name(feature).removeprefix("MODEL_FEATURE_").lower() for feature in model.features),
        ", ".join(_alias(alias, model.name) for alias in response.aliases if model.name in _candidates(alias)),
    )


def _alias(alias: ModelAlias, model: str) -> str:
    """Return an alias, with the model's place among several."""
    candidates = _candidates(alias)
    place = f" ({candidates.index(model) + 1} of {len(candidates)})" if len(candidates) > 1 else ""
    return alias.name + place


def _candidates(alias: ModelAlias) -> Sequence[str]:
    """Return the models of an alias; an older gateway names one."""
    return tuple(alias.models) or (alias.model,)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _CELL_COLUMNS, break_on_hyphens=False, break_long_words=False) or [""]


def _padded(line: Sequence[str], columns: Sequence[int]) -> str:
    cells = (text + " " * (count - cell_len(text)) for text, count in zip(line, columns, strict=True))
    return "  ".join(cells).rstrip()
