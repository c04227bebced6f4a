"""Which column of an unknown log plays which role: by what it holds first, then by its name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import polars as pl

from cxlib.errors import InputError, listed
from cxlib.ingest.cells import reads_like_none
from cxlib.ingest.evidence import (
    SETTLED,
    Column,
    Guess,
    groups,
    phrases,
    rank_labels,
    share_of_main,
    varying,
    words,
)
from cxlib.ingest.instants import read_instants
from cxlib.map_model import FILE

VARIES = 0.02  # a column with several values for fewer customers than this is a segment of theirs
LABELS = 2_000  # most values of a column that may be labels of contacts or customers
SEGMENTS, ENVIRONMENTS = 6, 8  # most columns of either kind that are proposed

Ranked = list[tuple[float, Column]]


@dataclass(slots=True)
class Roles:
    """The column of each role and why; `varies`: the share of customers with several values."""

    columns: dict[str, Guess] = field(default_factory=dict)
    segments: dict[str, str] = field(default_factory=dict)
    environments: dict[str, str] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)
    varies: dict[str, float] = field(default_factory=dict)

    def untaken(self, columns: Mapping[str, Column]) -> dict[str, Column]:
        """Return the columns that have no role."""
        taken = {g.value for g in self.columns.values()} | {*self.segments, *self.environments}
        return {name: column for name, column in columns.items() if name not in taken}


def _best_first(columns: Iterable[Column], score: Callable[[Column], float | None]) -> Ranked:
    """Return the columns that have a score, best first; equal ones as they stand in the file."""
    scored = [(s, c) for c in columns if (s := score(c)) is not None]
    return sorted(scored, key=lambda found: -found[0])


def _named(column: Column, names: tuple[str, ...]) -> int | None:
    """Position of the name that a column is called by: as a whole, then as a part of it."""
    joined, whole = "".join(column.words), " ".join(column.words)
    for rank, name in enumerate(names):
        if whole == name or joined == name.replace(" ", ""):
            return rank
    parts = (rank for rank, name in enumerate(names) if f" {name} " in f" {whole} ")
    return next((len(names) + rank for rank in parts), None)


def _best_named(columns: Iterable[Column], names: tuple[str, ...]) -> Column | None:
    ranked = [(rank, c) for c in columns if (rank := _named(c, names)) is not None]
    return min(ranked, key=lambda found: found[0])[1] if ranked else None


def rank_customers(columns: Mapping[str, Column]) -> Ranked:
    """Return the columns that could be the customer, best first, with their score."""
    return _best_first(columns.values(), _score_customer)


def _score_customer(column: Column) -> float | None:
    if column.kind in ("empty", "time", "flag") or (column.distinct < 2 and column.rows > 10):
        return None
    named, joined = set(column.words), "".join(column.words)
    is_id = column.says("id") or joined.endswith("id")
    # an analytics id such as 1234567.1700000000 is no measure
    if column.kind == "number" and not is_id and (column.numbers % 1 != 0).any():
        return None
    if column.name.lower().strip() == "case:concept:name":
        return 9.0
    score = 0.5 * is_id
    if column.says("person") or any(joined in (p, f"{p}id") for p in words("person")):
        score = 3.0 + is_id + (len(column.words) == 1) - 0.3 * column.says("technical")
    elif column.says("carrier") and is_id:
        score = 2.7
    elif column.says("errand") or joined in words("errand"):
        score = 1.5 + 0.5 * is_id
    score += 0.5 * ("unique" in named or "full" in named)
    score -= 4.0 * column.says("no_id")
    nobody = column.counts.filter(reads_like_none("value", "count"))["count"].sum()
    score -= 4.0 * (1 - column.share + int(nobody) / max(column.rows, 1))
    score += 1.0 if column.each >= 1.5 else -1.0 if column.each < 1.0005 else 0.0
    # several people have one name
    score -= 1.5 * bool(column.sample.str.contains(r"^[\pL.'-]+(?:,? [\pL.'-]+)+$").mean() > 0.9)  # type: ignore[operator]
    labels = column.distinct <= 50 and column.sample.str.contains(r"^[\pL _-]+$").all()
    score -= 1.5 * (labels and column.rows > 200)
    return score - 2.0 * (column.distinct < 5 and column.each > 10)


def guess_customer(columns: Mapping[str, Column]) -> tuple[Guess, list[Column]]:
    """Return the column of the customer, why, and the runners-up."""
    ranked = rank_customers(columns)
    named = [(s, c) for s, c in ranked if s > 0.9 and not c.is_nameless]
    if not named:
        # nothing is called so: many values, each of which comes back
        comes = [(s, c) for s, c in ranked if c.each >= (1.05 if c.says("id") else 1.2)]
        back = [(s, c) for s, c in comes if c.distinct >= 5 and s > -2.5]
        named = sorted(
            back,
            key=lambda sc: (
                not sc[1].says("person"),
                sc[1].sample.str.contains(r"^[^ \d]*\d[^ ]*$").mean() < 0.5,  # type: ignore[operator]
                sc[1].sample.str.len_chars().median() < 5,  # type: ignore[operator]
                -sc[1].distinct,
            ),
        )
    if not named:
        raise InputError(
            f"no column looks like the customer: none has values that come back in several rows "
            f"and are called so; there are: {listed(list(columns))}; name it in the map under "
            "columns: {customer: …}"
        )
    score, best = named[0]
    called = "its name and content" if score > 0.9 else "its content; its name does not say"
    others = [c for s, c in named[1:4] if s > 1.5]
    return Guess(best.name, f"by {called}: {best.said()}"), others


def rank_times(columns: Mapping[str, Column]) -> list[Column]:
    """Return the columns of times, the likeliest time of a contact first."""

    def key(column: Column) -> int:
        rank = _named(column, phrases("time"))
        known = len(phrases("time")) if rank is None else rank
        known += 100 * column.says("not_when") + 50 * (column.share < 0.5) + 200 * column.of_case
        return known + 10 * (column.share < 0.99) + 120 * (not has_clock(column))

    return sorted((c for c in columns.values() if c.kind == "time" and not _is_clock(c)), key=key)


def _state(column: Column) -> int | None:
    """Rank of a column that says what a case has come to."""
    named = None if column.says("before") else _named(column, phrases("state"))
    return 0 if named is None and column.is_new else named


def rank_touchpoints(columns: Mapping[str, Column], varies: Mapping[str, float]) -> Ranked:
    """Return the columns that could name the contact, best first, with their score."""
    names = phrases("contact")

    def score(column: Column) -> float | None:
        if column.kind in ("empty", "time", "flag") or column.distinct < 2:
            return None
        rank, against = _named(column, names), column.says("no_contact")
        if rank is not None and " " in names[rank % len(names)] and not column.says("id"):
            against = False  # "reason" alone says little, "contact reason" all
        found = 0.0 if rank is None else 3.0 - rank / len(names)
        state = _state(column)
        if state is not None and (rank is None or rank >= len(names)):
            rank, found, against = state, 1.2 - state / 100, False
        if column.name.lower() in ("concept:name", "activity", "touchpoint"):
            found, against = 4.0, False
        if column.kind == "number" and (rank is None or against):
            return None
        found -= 3.0 * (against and (rank is None or rank >= len(names)))
        found -= 1.0 * (column.kind == "number")
        found -= 2.0 * (column.kind == "text" and column.speaks < 0.5)
        found += 1.0 * (3 <= column.distinct <= 60) + 0.5 * (60 < column.distinct <= 300)
        found -= 1.0 * (column.distinct > 300) + 3.0 * (column.each < 3 and column.rows > 60)
        varied = varies.get(column.name, 1.0)
        found += 1.0 * (varied >= 0.3) - 4.0 * (varied < VARIES)
        return found - 2.0 * (column.share < 0.5)

    return _best_first(columns.values(), score)


def guess_roles(
    rows: pl.DataFrame,
    columns: Mapping[str, Column],
    fixed: Mapping[str, Guess],
    varies: Mapping[str, float] | None = None,
) -> Roles:
    """Guess the role of each column of raw rows, of which a recipe has settled some (`fixed`), the
    customer among them; `varies` None: `vary_labels` is asked.
    """
    roles = Roles(dict(fixed))
    customer = roles.columns["customer"].value
    roles.varies = dict(varies) if varies is not None else vary_labels(rows, columns, customer)
    if "occurred_at" not in roles.columns:
        _guess_time(roles, columns)
    if "touchpoint" not in roles.columns:
        _guess_touchpoint(roles, columns, rows)
    free = {n: c for n, c in roles.untaken(columns).items() if c.distinct > 1}
    _guess_labels(roles, free)
    for role, names in groups("special").items():
        fitting = (c for c in roles.untaken(free).values() if _FITS[role](c))
        if (best := _best_named(fitting, names)) is not None:
            roles.columns[role] = Guess(best.name, f"its name and content look like {role}")
    _guess_product(roles, free)
    ends = [c for c in rank_times(roles.untaken(free)) if c.says("ends")]
    if ends and "estimated" not in ends[0].words:
        roles.columns["ended_at"] = Guess(ends[0].name, "its name and content look like the end")
    times = (c for c in roles.untaken(columns).values() if c.kind == "time")
    if (due := next((c for c in times if c.says("promised")), None)) is not None:
        roles.columns["due_at"] = Guess(due.name, "its name says that this was promised or planned")
    told = columns.get(roles.columns["touchpoint"].value)
    if told is not None and "touchpoint" not in fixed and told.distinct <= 300:
        most = told.distinct + (told.filled < told.rows)
        # what the touchpoint says already is no surrounding; a few rows may show that it does not
        some = [rows.gather_every(rows.height // 10_000 + 1), rows]
        free = {
            n: c
            for n, c in free.items()
            if c.distinct > told.distinct
            or any(part.select(told.name, n).n_unique() > most for part in some)
        }
    owner, at = roles.columns.get("owner"), roles.columns["touchpoint"].value
    several = None
    if owner is not None and at in rows.columns:
        ranked = rank_labels(rows.group_by(at, owner.value).len(), at, owner.value)
        several = columns[owner.value] if share_of_main(ranked) < SETTLED else None
    _guess_surroundings(roles, free, also=several)
    return roles


def _guess_product(roles: Roles, free: Mapping[str, Column]) -> None:
    """Of lines with a price for one and how many, the amount is their product."""
    numbers = [c for c in free.values() if c.kind == "number"]
    many, price = (
        next((c.name for c in numbers if (r := _named(c, n)) is not None and r < len(n)), None)
        for n in map(phrases, ("quantity", "price"))
    )
    paid = roles.columns.get("amount")
    if many is not None and price is not None and (paid is None or paid.value == price):
        roles.columns["amount"] = Guess(f"{many} * {price}", "how many, times the price of one")


def vary_labels(
    rows: pl.DataFrame, columns: Mapping[str, Column], customer: str
) -> dict[str, float]:
    """Return by column of labels the share of customers for whom it has several values."""
    kinds = ("text", "flag", "number")
    labels = [n for n, c in columns.items() if c.kind in kinds and c.distinct <= LABELS]
    return varying(rows, customer, labels)


def _guess_time(roles: Roles, columns: Mapping[str, Column]) -> None:
    times = rank_times(columns)
    if not times:
        filled = (c for c in columns.values() if c.filled)
        near = next((c for c in filled if _named(c, phrases("time")) is not None), None)
        shown = f" ({near.name!r} is called so and holds {near.sample[0]!r})" if near else ""
        raise InputError(
            f"no column holds times{shown}; there are: {listed(list(columns))}; name it in the map "
            "under columns: {occurred_at: …}, and how it is written under time_format"
        )
    others = f"; others: {', '.join(c.name for c in times[1:4])}" if times[1:] else ""
    roles.columns["occurred_at"] = Guess(times[0].name, f"it holds times{others}")
    clock = next((c.name for c in columns.values() if _is_clock(c)), None)
    if clock is not None and not has_clock(times[0]):
        why = f"the clock that belongs to {times[0].name!r}"
        roles.columns["time_of_day"] = Guess(clock, why)


def _says_how(column: Column) -> bool:
    """Whether a column says by which way or by whom there was a contact, and not what it was."""
    ways = words("ways").union(*groups("channels").values())
    value = pl.col("value").str.to_lowercase().str.extract_all(r"\pL+")
    are_ways = column.counts.filter(value.list.set_difference(list(ways)).list.len() == 0)
    return int(are_ways["count"].sum()) > 0.6 * int(column.counts["count"].sum())


def _topic(
    rows: pl.DataFrame, free: Mapping[str, Column], roles: Roles, instead: Column | None
) -> Column | None:
    """Return the column that says what contacts are about, where `instead` says less: their way,
    who spoke, or what they came to; a state that changes within a case of one topic says more.
    """
    is_state = instead is not None and not names_contacts(instead, states=False)
    if instead is not None and not is_state and not _says_how(instead):
        return None
    topics = [
        c
        for c in free.values()
        if c is not instead
        and c.is_label(most=60, share=0.5)
        and c.each >= 3
        and roles.varies.get(c.name, 0) >= 0.3
        and not _says_how(c)
    ]
    best = _best_named(topics, phrases("topic"))
    if best is None or instead is None or not is_state:
        return best
    for case in (c for c in free.values() if c.says("id") and c.each >= 1.5 and c.distinct > 1):
        found = varying(rows, case.name, [best.name, instead.name], unseen=0.0)
        if found[best.name] < VARIES and found[instead.name] > 0.3:
            return None
    return best


def _guess_touchpoint(roles: Roles, columns: Mapping[str, Column], rows: pl.DataFrame) -> None:
    customer, free = roles.columns["customer"].value, roles.untaken(columns)
    ranked = [(s, c) for s, c in rank_touchpoints(free, roles.varies) if s >= 2 and c.name != FILE]
    told = ranked[0][1] if ranked and names_contacts(ranked[0][1]) else None
    if (best := _topic(rows, free, roles, told) or told) is not None:
        others = ", ".join(c.name for _, c in ranked[:3] if c is not best)
        why = f"its name and content: {best.distinct} values, several for a customer"
        why += f"; runners-up: {others}" if others else ""
        if best.kind == "number":
            roles.doubts.append(
                f"the touchpoints in {best.name!r} are numbers, codes that nobody can read: is "
                "there a column or a table with their names?"
            )
        roles.columns["touchpoint"] = Guess(best.name, why)
        return
    if FILE in free and roles.varies.get(FILE, 0.0) >= VARIES:
        why = "no column names a contact, and each file holds one kind of them"
        roles.columns["touchpoint"] = Guess(FILE, why)
        return
    nearest = [
        c
        for c in free.values()
        if c.is_label(most=300, share=0.5)
        and c.each >= 3
        and not c.says("no_nearest")
        and not c.sample.str.contains(r"^\W*\d").all()
    ]
    varied = [c for c in nearest if roles.varies.get(c.name, 0) >= VARIES] or nearest
    if not varied:
        raise InputError(
            "no column names a contact: none has few, repeated, speaking values that change within "
            f"{customer!r}; there are: {listed(list(columns))}. If each row is the same kind of "
            "contact, name it in the map by a rule, such as touchpoints: [{name: visit, stage: …, "
            f'match: {{{customer}: "."}}}}]'
        )
    best = min(varied, key=lambda c: (_named(c, phrases("channel")) is None, -c.distinct))
    roles.columns["touchpoint"] = Guess(best.name, "no column names a contact; this is the nearest")
    roles.doubts.append(
        f"no column names a contact: {best.name!r} is the nearest of {listed(list(columns))}; look "
        "for an export with one row for each contact"
    )


def _guess_labels(roles: Roles, free: Mapping[str, Column]) -> None:
    # the channel of a case: its steps then have no channel of their own
    is_case = roles.columns["customer"].value.lower().startswith("case")
    of_case = {"case", *phrases("channel")[:4]} if is_case else set()
    for role in ("channel", "owner", "stage"):
        fitting = [
            c
            for c in roles.untaken(free).values()
            if c.is_label(most=200, share=0.3)
            and not c.says("no_label")
            and (
                role == "owner"
                or roles.varies.get(c.name, 1) >= VARIES
                or (role == "channel" and set(c.words) <= of_case)
            )
        ]
        best = _best_named(fitting, phrases(role))
        if best is None:
            continue
        varied = roles.varies.get(best.name, 1.0)
        why = f"its name; {varied:.0%} of the customers have several of its {best.distinct} values"
        if role == "channel" and varied < VARIES:
            why = f"the channel by which the case came in, one of {best.distinct} for each"
            roles.segments[best.name] = why
        roles.columns[role] = Guess(best.name, why)


def _guess_surroundings(
    roles: Roles, free: Mapping[str, Column], *, also: Column | None = None
) -> None:
    """Sort what is left into segments of the customer and environments of the contact; `also`: the
    owner, where a touchpoint has several.
    """
    combinations = 1
    for name in roles.segments:
        combinations *= free[name].distinct + 1
    left = [
        c
        for c in roles.untaken(free).values()
        if (c.kind in ("text", "flag", "number") and c.share >= 0.1 and c.name in roles.varies)
        and not c.sample[0].startswith(("{", "["))
        and not c.says("no_surrounding")
        and c.name != FILE
    ]
    for column in [*sorted(left, key=lambda c: c.distinct), *([also] if also else [])]:
        varied, values = roles.varies[column.name], column.distinct
        is_place = not words("where").union(words("id")).isdisjoint(column.words[-1:])
        is_place &= column.says("where")  # "app version", "store no" and not "page views"
        few = values <= (8 if column.kind == "number" else 40)
        fits = len(roles.segments) < SEGMENTS and combinations * (values + 1) <= 256
        if varied < VARIES and few and column.each >= 3 and fits:
            combinations *= values + 1
            share = f"{1 - varied:.1%} of the customers" if varied else "each customer"
            roles.segments[column.name] = f"one of {values} values for {share}"
        elif varied < VARIES and column is not also:
            continue
        elif (column.kind == "text" or is_place) and column.each >= 5 and values <= 300:
            named = column.says("where") or column.speaks >= 0.5 or column is also
            if named and len(roles.environments) < ENVIRONMENTS:
                why = f"{values} values, several for {varied:.0%} of the customers"
                roles.environments[column.name] = why


def _is_rating(column: Column) -> bool:
    if column.kind != "number" or column.says("not_rated") or not 1 < column.distinct <= 201:
        return False
    unasked = column.words[-1:] == ("score",) and not column.says("asked")
    return bool(column.numbers.is_between(0 if unasked else -100, 10 if unasked else 100).all())


_FITS: Mapping[str, Callable[[Column], bool]] = {
    "rating": _is_rating,
    "amount": lambda c: c.kind == "number" and not c.says("not_paid") and c.distinct > 1,
    "cost": lambda c: c.kind == "number" and c.distinct > 3,
    "issue": lambda c: c.kind == "text",
    "comment": lambda c: c.kind == "text",
    "sequence": lambda c: c.kind == "number" and not (c.numbers % 1 != 0).any(),
}


def named_role(column: Column) -> str | None:
    """Return the special role that a column has by its name and content, "rating" or another."""
    special = groups("special").items()
    fitting = (r for r, names in special if _named(column, names) is not None and _FITS[r](column))
    return next(fitting, None)


def _is_clock(column: Column) -> bool:
    half = r"(?:\s?[AaPp]\.?\s?[Mm]\.?)?"
    clock = rf"^\d{{1,2}}(?::|\s?[hH]\s?)\d{{2}}(?::\d{{2}}(?:[.,]\d+)?)?{half}$|^\d\d\.\d\d\.\d\d$"
    if re.search("(?i)time|zeit|tijd|hora|heure|ora$|godz|uhr", column.name):
        clock += r"|^(?:[01]\d|2[0-3])[0-5]\d[0-5]\d$"
    found = column.filled > 0 and not column.says("lasts")
    return found and bool(column.sample.str.contains(clock).mean() > 0.95)  # type: ignore[operator]


def has_clock(column: Column) -> bool:
    """Whether a column of times says more than the day."""
    read = read_instants(column.sample.head(1000), where="", refuse=False).values.drop_nulls()
    if not len(read):
        return bool(column.sample.str.contains(r"\d:\d").any())
    return bool((read.dt.truncate("1d") != read).any())


def is_step_time(column: Column) -> bool:
    """Whether a column says when something happened: no plan, no end, no record of the system."""
    planned = (words("not_when") - {"first", "last"}) & set(column.words)
    return column.kind == "time" and not (planned or column.of_case) and column.distinct > 1


def names_contacts(column: Column, *, alone: bool = False, states: bool = True) -> bool:
    """Whether a column is called as those that name contacts; `alone`: and nothing else; `states`:
    or as those that name what a case has come to.
    """
    names = phrases("contact")
    rank = _named(column, names)
    if rank is None:
        return states and _state(column) is not None
    surest = names.index("activity type") if alone else len(names)
    return rank is not None and rank % len(names) <= surest


def rates(column: Column) -> bool:
    """Whether a column of a table of answers holds the mark: by its name, or as question 1, 2, …"""
    is_question = re.fullmatch(r"(?i)q(uestion)?[ _]?\d+.*", column.name) is not None
    of_number = column.kind == "number"
    return of_number and (named_role(column) == "rating" or (is_question and _is_rating(column)))
