"""YAML with a memory: entries know file, line and key they came from, and errors say it.

Every scalar is the text that stands in the file: a touchpoint called `no` or `12:30` stays a name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NoReturn, TypeVar

import polars as pl
import yaml

from cxlib.errors import MapError, did_you_mean

Parsed = TypeVar("Parsed")
_KINDS = {yaml.MappingNode: "a mapping", yaml.SequenceNode: "a list", yaml.ScalarNode: "a value"}
_FLAGS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


@dataclass(frozen=True, slots=True)
class Entry:
    """One node of a YAML file with its place; each reader returns its kind or raises."""

    node: yaml.Node
    file: str
    key: str

    @property
    def line(self) -> int:
        """Line of the file, from 1."""
        return int(self.node.start_mark.line) + 1

    def fail(self, problem: str) -> NoReturn:
        """Raise a `MapError` about this entry."""
        raise MapError(problem, file=self.file, line=self.line, key=self.key)

    def unknown(self, name: str, known: Iterable[str], kind: str, example: str = "") -> NoReturn:
        """Raise a `MapError` about a name that is not among those known."""
        names = list(known)
        shown = ", ".join(names) if len(names) <= 40 else f"for example {example or names[0]}"
        self.fail(f"there is no {kind} {name!r}; allowed: {shown}.{did_you_mean(name, names)}")

    def keys(self, allowed: Iterable[str] | None, *, filled: bool = False) -> dict[str, Entry]:
        """Return the entries of a mapping by key; keys with an empty value are left out."""
        if not isinstance(self.node, yaml.MappingNode):
            self.fail(f"must be a mapping (key: value), not {_KINDS[type(self.node)]}")
        names = None if allowed is None else list(allowed)
        entries: dict[str, Entry] = {}
        for key_node, value_node in self.node.value:
            place = Entry(key_node, self.file, self.key)
            name = place.text()
            inside = f"{self.key}.{name}" if self.key else name
            if name in entries:
                Entry(key_node, self.file, inside).fail(
                    f"the key {name!r} stands here twice, first on line {entries[name].line}"
                )
            if names is not None and name not in names:
                Entry(key_node, self.file, inside).unknown(name, names, "key")
            entries[name] = Entry(value_node, self.file, inside)
            if filled and entries[name]._is_empty():
                entries[name].fail("must not be empty; text with a comma in it needs quotes")
        return {name: entry for name, entry in entries.items() if not entry._is_empty()}

    def need(self, key: str) -> Entry:
        """Return the entry under a key that must be there, with a value."""
        entry = self.keys(None).get(key)
        if entry is None:
            self.fail(f"the key {key!r} is missing or empty")
        return entry

    def items(self, *, or_one: bool = False) -> Iterator[Entry]:
        """Yield the entries of a list; with `or_one` a single value counts as a list of one."""
        if or_one and isinstance(self.node, yaml.ScalarNode):
            yield self
            return
        if not isinstance(self.node, yaml.SequenceNode):
            self.fail(f"must be a list, not {_KINDS[type(self.node)]}")
        for index, node in enumerate(self.node.value):
            yield Entry(node, self.file, f"{self.key}[{index}]")

    def is_mapping(self) -> bool:
        """Whether this holds keys with values."""
        return isinstance(self.node, yaml.MappingNode)

    def text(self) -> str:
        """Return a value as text, without blanks around it; never empty."""
        if not isinstance(self.node, yaml.ScalarNode):
            self.fail(f"must be a single value, not {_KINDS[type(self.node)]}")
        text = str(self.node.value).strip()
        if not text:
            self.fail("must not be empty")
        return text

    def parsed(self, parse: Callable[[str], Parsed]) -> Parsed:
        """Return what a function reads in the text, whose complaint is a ValueError."""
        try:
            return parse(self.text())
        except ValueError as error:
            self.fail(str(error))

    def one_of(self, allowed: Iterable[str], kind: str = "") -> str:
        """Return a text that is among those allowed; `kind` is what it is called, else the key."""
        name, names = self.text(), list(allowed)
        if name not in names:
            self.unknown(name, names, kind or self.key.rpartition(".")[2])
        return name

    def flag(self) -> bool:
        """Return true or false."""
        text = self.text().lower()
        if text not in _FLAGS:
            self.fail(f"must be true or false, not {self.text()!r}")
        return _FLAGS[text]

    def number(self) -> float:
        """Return a finite number."""
        try:
            number = float(self.text())
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            self.fail(f"must be a number, not {self.text()!r}")
        return number

    def whole(self, *, low: int) -> int:
        """Return a whole number of at least `low`."""
        text = self.text()
        if not text.isascii() or not text.lstrip("-").isdigit() or int(text) < low:
            self.fail(f"must be a whole number from {low}, not {text!r}")
        return int(text)

    def pattern(self) -> str:
        """Return a regular expression that Polars accepts, as written (blanks included)."""
        self.text()
        written = str(self.node.value)
        try:
            pl.Series([""]).str.contains(written, strict=True)
        except pl.exceptions.ComputeError as error:
            lines = [li for li in str(error).splitlines() if li.startswith("error: ")]
            why = lines[0].removeprefix("error: ") if lines else "see the syntax of Rust's regex"
            self.fail(f"{written!r} is no regular expression ({why}); write \\( for a bracket")
        return written

    def _is_empty(self) -> bool:
        return isinstance(self.node, yaml.ScalarNode) and (
            self.node.tag == "tag:yaml.org,2002:null" or not str(self.node.value).strip()
        )


def read_entries(text: str, *, file: str) -> Entry:
    """Parse YAML and return its top entry."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except RecursionError:
        raise MapError(
            "the entries are nested too deeply; a map has four levels at most", file=file
        ) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        raise MapError(f"this is no valid YAML: {error.problem}", file=file, line=line) from None
    except yaml.YAMLError as error:
        raise MapError(f"this is no valid YAML: {error}", file=file) from None
    if node is None:
        raise MapError("the file is empty; `cx init` proposes a map from a log", file=file)
    return Entry(node, file, "")
