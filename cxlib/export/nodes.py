"""Values that are much alike, kept once: what makes a file with every answer small.

Every list, every mapping and every longer text is a node, kept once, and named by its number.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

_SHORT = 24
"""Characters of JSON below which naming a value takes more room than writing it."""


class Nodes:
    """Values in the order of their numbers; equal values have one.

    Within them ``{"$": n}`` stands for value n, and ``pieces`` for an array of plotly's with gaps.
    """

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._numbers: dict[str, int] = {}

    def add(self, value: Any) -> int:
        """Return the number of a value, which may be anything that JSON can hold."""
        return self._number_of(self._contents(value))

    def _contents(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            pieces = _in_pieces(value) if "bdata" in value else value
            return {key: self._written(part) for key, part in pieces.items()}
        if isinstance(value, list | tuple):
            return [self._written(part) for part in value]
        return value

    def _written(self, value: Any) -> Any:
        """Return a value as it stands within another: itself where short, else its number."""
        contents = self._contents(value)
        if not isinstance(contents, str | list | dict) or len(_json(contents)) < _SHORT:
            return contents
        return {"$": self._number_of(contents)}

    def _number_of(self, contents: Any) -> int:
        number = self._numbers.setdefault(_json(contents), len(self.values))
        if number == len(self.values):
            self.values.append(contents)
        return number


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _in_pieces(array: Mapping[str, Any]) -> Mapping[str, Any]:
    """Split an array at its gaps (NaN): outlines are drawn again and again in another order."""
    if not str(array["dtype"]).startswith("f") or "shape" in array:
        return array
    numbers = np.frombuffer(base64.b64decode(array["bdata"]), dtype=f"<{array['dtype']}")
    gaps = np.flatnonzero(np.isnan(numbers)) + 1
    if not len(gaps):
        return array
    pieces = [base64.b64encode(piece.tobytes()).decode() for piece in np.split(numbers, gaps)]
    rest = {key: value for key, value in array.items() if key != "bdata"}
    return rest | {"pieces": [piece for piece in pieces if piece]}
