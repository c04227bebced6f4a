"""What the columns of an answer are: declared once, and everything else follows from that.

A result declares its tables (`cxlib.results.Result`)::

    tables = Tables(
        table=Columns(
            "one row per pair that occurs, the most frequent first",
            source=Label("what is left"),
            n=Count("transitions", each="contacts"),
            share=Share("of the source's contacts", of="n", interval=True),
            wait=Wait("median, open ones allowed for", of="n", each="contacts", interval=True),
        )
    )

From it come the list of columns in the docstrings, the check of dtypes, the tables in notebooks and
on the terminal, CSV, Parquet and JSON, what is done to small groups when it is published, and the
random frames that figures are tested with. Whoever adds a column adds one line.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import polars as pl

from cxlib import numbers
from cxlib.tables import Written

_FLOAT = (pl.Float64,)
_INTEGERS = (pl.UInt32, pl.UInt8, pl.UInt16, pl.UInt64, pl.Int8, pl.Int16, pl.Int32, pl.Int64)


@dataclass(frozen=True, slots=True)
class Column:
    """One column: what it is, how it is written for people, how it is protected when published.

    Parameters
    ----------
    about
        What it says, in a few words.
    heading
        Over the column where people read it; the name, its underscores as spaces, where not given.
    interval
        Whether ``NAME_low`` and ``NAME_high`` stand beside it; or the names of the two ends.
    of
        The column that counts the cases behind it: published where these are many. Of a label or a
        flag: it is judged from them, and is not what names the row.
    each
        What one customer may add to it more than once ("contacts", "journeys", "ratings", …): when
        it is published, the heaviest customers' part of these may not show. None: each adds once
        (which an amount says by "customers").
    detail
        Whether it is left out where people read; files and JSON have it.
    optional
        Whether only some answers have it.
    """

    about: str
    _: KW_ONLY
    heading: str | None = None
    interval: bool | tuple[str, str] = False
    of: str | None = None
    each: str | None = None
    detail: bool = False
    optional: bool = False

    dtypes: ClassVar[tuple[Any, ...]]
    is_number: ClassVar[bool] = True
    weight: ClassVar[int] = 2
    """Where there is no room for all columns, those of most weight stay: what a row is about, then
    what is estimated of it, then how many that rests on."""
    write: ClassVar[Callable[..., str]]
    """Writes a value, and the two ends of its interval where there are any."""

    def __init_subclass__(
        cls,
        dtypes: tuple[Any, ...] | None = None,
        write: Callable[..., str] | None = None,
        weight: int | None = None,
    ) -> None:
        if dtypes is not None:
            cls.dtypes = dtypes
        if weight is not None:
            cls.weight = weight
        if write is not None:
            cls.write = staticmethod(write)

    @property
    def kind(self) -> str:
        """What kind of column it is, as a word."""
        return type(self).__name__.lower()

    def cell(self, row: Mapping[str, Any], name: str, ends: tuple[str, ...]) -> str:
        """Write its cell of a row."""
        return type(self).write(row[name], *_known(row, ends))


def _known(row: Mapping[str, Any], ends: tuple[str, ...]) -> tuple[Any, ...]:
    """Both ends of an interval; nothing where none is known."""
    values = tuple(row.get(end) for end in ends)
    return values if any(value is not None for value in values) else ()


def _name(value: object) -> str:
    return numbers.MISSING if value is None else str(value)


def _yes_no(value: bool | None) -> str:
    return numbers.MISSING if value is None else "yes" if value else "no"


class Label(Column, dtypes=(pl.String, *_INTEGERS), write=_name, weight=4):
    """A name, or the number of a place: no figure."""

    is_number = False


class ColumnName(Label, dtypes=(pl.String,), write=lambda name: numbers.spelled(_name(name))):
    """The name of a column of another table: people read spaces where it has underscores."""


@dataclass(frozen=True, slots=True)
class Text(Label, dtypes=(pl.String,), weight=5):
    """Words for people, a sentence or more; `fixed`: they say no figure.

    Others are not published: what a result says is said anew from the protected figures, by its
    ``sentences``.
    """

    fixed: bool = False


class Flag(Column, dtypes=(pl.Boolean,), write=_yes_no):
    """Yes or no."""

    is_number = False


class Count(Column, dtypes=_INTEGERS, write=numbers.decimal):
    """A number of things; `each` says of what one customer may have many."""


@dataclass(frozen=True, slots=True)
class Customers(Count):
    """A number of distinct customers; `adds_up`: each in one period only, so that these add up."""

    adds_up: bool = False


class Rank(Column, dtypes=_INTEGERS, write=numbers.decimal, weight=4):
    """A place in an order, 1 the first; shown where the column `of` is."""


@dataclass(frozen=True, slots=True)
class Share(Column, dtypes=_FLOAT, write=numbers.share):
    """A share or probability, from 0 to 1.

    Of a share of the cases `of`: the counts `cases` are its numerator together, those `open` may
    yet come to be among them, and without `settled` it is not known while any are open; `total`:
    what the count in the denominator is called.
    """

    total: str | None = None
    cases: tuple[str, ...] = ()
    open: str | None = None
    settled: str | None = None


class Points(Column, dtypes=_FLOAT, write=numbers.points):
    """A difference of shares."""


class Wait(Column, dtypes=(pl.Duration("us"),), write=numbers.duration):
    """A length of time."""


@dataclass(frozen=True, slots=True)
class Rating(Column, dtypes=_FLOAT, write=numbers.rating):
    """A mean rating, on the scale of the journey map.

    `width` of its scale, where that is not the scale of the answers: 200 of a net promoter score.
    """

    width: float | None = None


class Money(Column, dtypes=_FLOAT, write=numbers.money):
    """An amount of money."""


class Amount(Column, dtypes=(pl.Float64, pl.Float32, *_INTEGERS), write=numbers.amount):
    """Any other number, such as a mean; with `each` it is a sum to which they add."""


class Level(Column, dtypes=(pl.Float64, *_INTEGERS), write=numbers.amount, weight=4):
    """A number that names the row: an answer on a scale, the end of a bin, a step."""


class Chance(Column, dtypes=_FLOAT, write=numbers.chance, weight=1):
    """A p or q value."""


class Instant(Column, dtypes=(pl.Datetime("us", "UTC"),), write=numbers.instant):
    """A point in time, UTC."""


class Day(Column, dtypes=(pl.Date,), write=numbers.day):
    """A date."""


@dataclass(frozen=True, slots=True)
class Value(Column, dtypes=_FLOAT, write=numbers.amount):
    """A number whose kind the column `unit` of the row names; `written`: how numbers of every unit
    that is not simply an amount are written.
    """

    unit: str = "unit"
    written: Mapping[str, Callable[..., str]] | None = None

    def cell(self, row: Mapping[str, Any], name: str, ends: tuple[str, ...]) -> str:
        """Write its cell of a row, in the row's unit."""
        write = (self.written or {}).get(row[self.unit], numbers.amount)
        return write(row[name], *_known(row, ends))


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(text, 92, subsequent_indent="  ", break_long_words=False)


class Columns(Mapping[str, Column]):
    """The columns of one table, in order.

    Parameters
    ----------
    rows
        What a row is, and in which order rows come.
    columns
        The columns by name.

    Examples
    --------
    >>> table = Columns("one row per channel", channel=Label("name"), n=Count("contacts"),
    ...                 share=Share("of all", of="n", interval=True))
    >>> table.names
    ('channel', 'n', 'share', 'share_low', 'share_high')
    >>> frame = table.frame([{"channel": "web", "n": 3, "share": 0.5}])
    >>> frame["share_low"].to_list(), frame.schema["n"]
    ([None], UInt32)
    >>> table.check(frame.drop("n"), "Contacts.table")
    Traceback (most recent call last):
    TypeError: Contacts.table has no column 'n'
    """

    def __init__(self, rows: str = "", /, **columns: Column) -> None:
        self.rows = rows
        self._columns = columns

    def __getitem__(self, name: str) -> Column:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def ends(self, name: str) -> tuple[str, ...]:
        """Names of the two ends of a column's interval; nothing where it has none."""
        interval = self[name].interval
        if isinstance(interval, tuple):
            return interval
        return (f"{name}_low", f"{name}_high") if interval else ()

    def heading(self, name: str) -> str:
        """What stands over a column where people read it."""
        return self[name].heading or numbers.spelled(name)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all columns, each followed by the ends of its interval."""
        return tuple(n for name in self for n in (name, *self.ends(name)))

    @property
    def schema(self) -> dict[str, Any]:
        """All names with the dtype that they have where nothing else is said."""
        return {n: self[name].dtypes[0] for name in self for n in (name, *self.ends(name))}

    def check(self, frame: pl.DataFrame, what: str) -> None:
        """Refuse a frame that has other columns, or columns of other dtypes.

        Raises
        ------
        TypeError
            Names the first column that is not as declared.
        """
        present = frame.schema
        for name, column in self.items():
            ends = self.ends(name)
            if column.optional and not {name, *ends} & present.keys():
                continue
            for part in (name, *ends):
                if part not in present:
                    raise TypeError(f"{what} has no column {part!r}")
                if present[part] not in column.dtypes and present[part] != pl.Null:
                    wanted = " or ".join(str(dtype) for dtype in column.dtypes)
                    raise TypeError(f"{what}: column {part!r} is {present[part]}, not {wanted}")
        if undeclared := present.keys() - set(self.names):
            raise TypeError(f"{what} has a column that is not declared: {sorted(undeclared)[0]!r}")

    def frame(self, rows: Iterable[Mapping[str, Any]] = ()) -> pl.DataFrame:
        """Make a frame of these columns; what a row does not give is null.

        Columns of some answers only are there where any row gives them.
        """
        given = list(rows)
        named = {name for row in given for name in row}
        if undeclared := named - set(self.names):
            raise TypeError(f"there is no column {sorted(undeclared)[0]!r}")
        kept = {
            part
            for name, column in self.items()
            for part in (name, *self.ends(name))
            if not column.optional or named & {name, *self.ends(name)}
        }
        return pl.DataFrame(given, schema={n: d for n, d in self.schema.items() if n in kept})

    def describe(self, *, above: Collection[Column] = ()) -> list[str]:
        """List the columns, as docstrings do; those described `above` by their names only."""
        lines, again = [], []
        for name, column in self.items():
            if column in above:
                again.append(f"``{name}``")
                continue
            ends = "".join(f", ``{end}``" for end in self.ends(name))
            only = "; in some answers" if column.optional else ""
            lines += _wrap(f"- ``{name}``{ends} ({column.kind}{only}): {column.about}")
        return [*lines, *_wrap(f"- {', '.join(again)}: as above")] if again else lines

    def written(
        self, frame: pl.DataFrame, *, most: int | None = None, first: Collection[str] = ()
    ) -> Written:
        """Write a frame for people: details left out, intervals in the cell of their estimate.

        Where there is no room for all columns, the `first` stay before all others.
        """
        shown = [n for n, column in self.items() if not column.detail and n in frame.columns]
        ends = {name: self.ends(name) for name in shown}
        rows = frame if most is None else frame.head(most)
        return Written(
            headings=tuple(map(self.heading, shown)),
            is_number=tuple(self[n].is_number for n in shown),
            weight=tuple(6 if n in first else self[n].weight + bool(ends[n]) for n in shown),
            rows=tuple(
                tuple(self[n].cell(row, n, ends[n]) for n in shown)
                for row in rows.iter_rows(named=True)
            ),
        )


class Tables(dict[str, Columns]):
    """The columns of each table of a result, by field."""
