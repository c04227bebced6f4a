"""Packages that load what they name when it is first asked for.

A package names what it offers once, in imports under ``if TYPE_CHECKING:``, which only type
checkers follow. The same lines say where each name comes from when it is first used.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType


def load_lazily(package: str) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Give a package its ``__getattr__`` and ``__dir__`` (PEP 562).

    >>> __getattr__, __dir__ = load_lazily("cxlib")
    >>> __getattr__("Workspace").__name__
    'Workspace'
    >>> "measure_waits" in __dir__(), "sys" in __dir__()
    (True, False)
    """
    module = sys.modules[package]
    found = {name: (home, attribute) for name, home, attribute in _named(str(module.__file__))}

    def get(name: str) -> object:
        if name not in found:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home, attribute = found[name]
        value: object = getattr(import_module(home), attribute)
        setattr(module, name, value)
        return value

    def names() -> list[str]:
        return sorted({*found, *(n for n in vars(module) if n.startswith("__"))})

    return get, names


class _CallableModule(ModuleType):
    """A room whose name is also what one does with it."""

    def __call__(self, *args: object, **options: object) -> object:
        home, name = self.__dict__["_verb"]
        return getattr(import_module(home), name)(*args, **options)


def make_callable(package: str, home: str) -> None:
    """Let ``cx.publish(ws)`` call the function in the module `home`, also where ``cxlib.publish``
    is a package: Python binds a package to its name as soon as any of its modules is imported.
    """
    module = sys.modules[package]
    module.__class__ = _CallableModule
    module.__dict__["_verb"] = (home, package.rpartition(".")[2])


def _named(file: str) -> Iterator[tuple[str, str, str]]:
    """Yield every name that a file imports for type checkers, its module, and its name there."""
    for node in ast.parse(Path(file).read_text("utf-8")).body:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name):
            for line in node.body:
                if isinstance(line, ast.ImportFrom) and line.module:
                    for alias in line.names:
                        yield alias.asname or alias.name, line.module, alias.name
