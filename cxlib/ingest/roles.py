"""Which column of an unknown log plays which role: by what it holds first, then by its name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import polars as pl

from cxlib.errors import InputError, listed
from cxlib.ingest.evidence import Column, phrases, varying, vocabulary
from cxlib.ingest.guess import Guess

__all__ = [
    "Roles",
    "guess_customer",
    "guess_roles",
    "rank_customers",
    "rank_times",
    "rank_touchpoints",
]

_ID = vocabulary("id ids key no nr num number code uuid guid hash ref uid hashed pseudo unique")
_PERSON = vocabulary(
    "customer customers client clients kunde kunden klant klanten cliente user users "
    "visitor visitors member members person persons people account patient subscriber "
    "passenger guest usuario student learner respondent requester caller household "
    "player donor buyer shopper contact lead distinct anonymous uid userid clientid "
    "customerid visitorid custid memberid email mail msisdn kundennummer klantnummer "
    "consumer recipient insured policyholder learnerid"
)
_ERRAND = vocabulary(
    "case session visit order ticket trip conversation chat journey device ip phone "
    "caseid basket invoice cookie sessionid"
)
_NO_ID = vocabulary(
    "cohort agent type group segment age gender sex lifecycle status category class "
    "tier plan country city region state zip postcode language source medium channel "
    "value score rating count manager band level name score stage prefix city birth rep "
    "employee staff resource responsible campaign product browser version page views "
    "time date price"
)
_CONTACT = phrases(
    "concept name|what|touchpoint|activity|event name|event text|event|action|"
    "interaction|step|event type|eventtype|eventname|activity name|activity type|"
    "page name|page|screen name|screen|page type|page title|contact type|"
    "call type|aktivität|aktion|activiteit|contactpunt|contact|verb|task|"
    "operation|type|touch|event category|eventcategory|title|message type|"
    "hit type|engagement type|ereignis|gebeurtenis|schritt|stap|evento|actividad|"
    "url|page path|path|name"
)
_NO_CONTACT = vocabulary(
    "id ids count number num views view time date timestamp price amount value quantity "
    "qty session week month year hour day country city state region device browser os "
    "platform user customer agent team owner department product sku item currency "
    "language gender age sex score rating cohort segment source medium channel campaign "
    "revenue cost duration lifecycle status reason plan tier email phone zip postcode "
    "hash version resource responsible group section workgroup severity priority "
    "seriousness level queue hostname ip"
)
_CHANNEL = phrases("channel|kanal|kanaal|canal|via|medium|source|platform|origin|mode|utm")
_OWNER = phrases(
    "owner|team|department|org group|abteilung|afdeling|workgroup|desk|division|"
    "unit|squad|partner|org role|equipo|group"
)
_TIME = phrases(
    "time timestamp|occurred at|event time|event timestamp|timestamp|event date|"
    "datetime|zeitpunkt|tijdstip|when|derived tstamp|time|date time|date|zeit|"
    "tijd|datum|start time|start timestamp|start|started at|started|begin|"
    "created at|created|collector tstamp|original timestamp|at|ts"
)
_NOT_WHEN = vocabulary(
    "estimated expected due deadline promised planned scheduled birth birthday dob "
    "expiry expires valid until end ended finished updated modified received sent "
    "loaded synced eta forecast target sla close stop ende bis einde tot etl first last "
    "dvce load recorded creation"
)
_WHERE = vocabulary(
    "device browser os app version site store shop branch agent queue resource location "
    "place filiale filiaal hostname host environment page server kiosk terminal "
    "platform screen model user_agent language country city lifecycle section product"
)
_SPECIAL: Mapping[str, tuple[str, ...]] = {
    "rating": ("rating", "nps", "csat", "ces", "stars", "score", "bewertung", "beoordeling",
               "satisfaction", "sterne"),
    "amount": ("amount", "revenue", "total", "order value", "payment value", "sales", "turnover",
               "betrag", "umsatz", "bedrag", "omzet", "value", "price", "basket value"),
    "cost": ("cost", "costs", "kosten", "spend"),
    "issue": ("issue", "topic", "reason", "anliegen", "onderwerp", "subject"),
    "comment": ("comment", "comments", "feedback", "remark", "kommentar", "opmerking", "verbatim"),
    "sequence": ("sequence", "seq", "event index", "hit number", "reihenfolge", "volgorde",
                 "event number", "position"),
}  # fmt: skip
_QUANTITY = ("quantity", "qty", "menge", "aantal", "cantidad", "pieces", "units")
_PRICE = ("unit price", "item price", "price", "einzelpreis", "preis", "prijs", "precio")
_ASKED = vocabulary("review satisfaction nps csat ces survey customer")
_NOT_RATED = vocabulary("lead credit risk health quality page seo fraud")
_NOT_PAID = vocabulary("unit tax discount page views id currency lifetime")

VARIES = 0.02
"""A column that has several values for fewer customers than this is a segment of theirs."""

LABELS = 2_000
"""Most values of a column that may be labels of contacts or customers."""

SEGMENTS, ENVIRONMENTS = 6, 8
"""Most columns of either kind that are proposed."""


@dataclass(slots=True)
class Roles:
    """What was found.

    Parameters
    ----------
    columns
        By our name, the column and why.
    segments, environments
        Columns that describe the customer, and the place of the contact.
    doubts
        What the reader must look at, in words.
    varies
        By column, the share of customers for whom it has several values.
    """

    columns: dict[str, Guess] = field(default_factory=dict)
    segments: dict[str, Guess] = field(default_factory=dict)
    environments: dict[str, Guess] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)
    varies: dict[str, float] = field(default_factory=dict)

    def taken(self) -> set[str]:
        """Return the columns that have a role."""
        parts = (self.columns, self.segments, self.environments)
        return {guess.value for part in parts for guess in part.values()}


def rank_customers(columns: Mapping[str, Column]) -> list[tuple[float, Column]]:
    """Return the columns that could be the customer, best first, with their score."""
    scored = []
    for column in columns.values():
        score = _score_customer(column)
        if score is not None:
            scored.append((score, column))
    order = list(columns)
    return sorted(scored, key=lambda s: (-s[0], order.index(s[1].name)))


def _score_customer(column: Column) -> float | None:
    if column.kind in ("empty", "time", "flag") or (column.distinct < 2 and column.rows > 10):
        return None
    words, joined = set(column.words), "".join(column.words)
    is_id = bool(words & _ID) or joined.endswith("id")
    # an analytics id such as 1234567.1700000000 is no measure
    if column.kind == "number" and not is_id and (column.numbers % 1 != 0).any():
        return None
    score = 0.0
    if column.name.lower().strip() == "case:concept:name":
        return 9.0
    if words & _PERSON or any(joined == f"{p}id" for p in _PERSON):
        score = 3.0 + is_id + (len(column.words) == 1)
    elif words & _ERRAND or joined in _ERRAND:
        score = 1.5 + 0.5 * is_id
    elif is_id:
        score = 0.5
    score += 0.5 * ("unique" in words or "full" in words)
    score -= 4.0 * bool(words & _NO_ID)
    score -= 2.0 * (column.share < 0.5)
    score += 1.0 if column.each >= 1.5 else -1.0 if column.each < 1.0005 else 0.0
    labels = column.distinct <= 50 and column.counts["value"].str.contains(r"^[\pL _-]+$").all()
    score -= 1.5 * (labels and column.rows > 200)
    score -= 2.0 * (column.distinct < 5 and column.rows >= 100)
    return score


def guess_customer(columns: Mapping[str, Column]) -> tuple[Guess, list[Column]]:
    """Return the column of the customer, why, and the runners-up.

    Raises
    ------
    InputError
        Where nothing can be a customer.
    """
    ranked = rank_customers(columns)
    named = [(s, c) for s, c in ranked if s > 0.9]
    if not named:
        # nothing is called so: many values, each of which comes back
        back = [(s, c) for s, c in ranked if c.each >= 1.2 and c.distinct >= 2 and s > -2.5]
        named = sorted(back, key=lambda sc: -sc[1].distinct)
    if not named:
        raise InputError(
            f"no column looks like the customer: none has values that come back in several rows "
            f"and are called so; there are: {listed(list(columns))}; name it in the map under "
            "columns: {customer: …}"
        )
    best = named[0][1]
    others = [c for s, c in named[1:4] if s > 1.5]
    by_name = _score_customer(best) or 0
    called = "its name and content" if by_name > 0.9 else "its content; its name does not say"
    return Guess(best.name, f"by {called}: {best.said()}"), others


def rank_times(columns: Mapping[str, Column]) -> list[Column]:
    """Return the columns of times, the likeliest time of a contact first."""
    times = [c for c in columns.values() if c.kind == "time" and not is_clock(c)]

    def key(column: Column) -> tuple[float, int]:
        rank = _named(column, _TIME)
        known = len(_TIME) if rank is None else rank
        return (known + 100 * bool(set(column.words) & _NOT_WHEN) + 50 * (column.share < 0.5), 0)

    return sorted(times, key=key)


def _named(column: Column, names: list[str] | tuple[str, ...]) -> int | None:
    """Position of the name that a column is called by: as a whole, then as a part of it."""
    words = list(column.words)
    joined, whole = "".join(words), " ".join(words)
    for rank, name in enumerate(names):
        if whole == name or joined == name.replace(" ", ""):
            return rank
    for rank, name in enumerate(names):
        parts = name.split()
        at = range(len(words) - len(parts) + 1)
        if any(words[i : i + len(parts)] == parts for i in at):
            return rank + len(names)
    return None


def rank_touchpoints(
    columns: Mapping[str, Column], varies: Mapping[str, float]
) -> list[tuple[float, Column]]:
    """Return the columns that could name the contact, best first, with their score."""
    scored = []
    for column in columns.values():
        if column.kind in ("empty", "time", "flag") or column.distinct < 2:
            continue
        rank = _named(column, _CONTACT)
        words = set(column.words)
        score = 0.0 if rank is None else 3.0 - rank / len(_CONTACT)
        against = words & _NO_CONTACT
        if column.name.lower() in ("concept:name", "activity", "touchpoint"):
            score, against = 4.0, set()
        score -= 3.0 * bool(against) if rank is None or rank >= len(_CONTACT) else 0.0
        if column.kind == "number":
            if rank is None or against:
                continue
            score -= 1.0
        score -= 2.0 * (column.kind == "text" and column.speaks < 0.5)
        score += 1.0 * (3 <= column.distinct <= 60) + 0.5 * (60 < column.distinct <= 300)
        score -= 1.0 * (column.distinct > 300) + 3.0 * (column.each < 3 and column.rows > 60)
        varied = varies.get(column.name, 1.0)
        score += 1.0 * (varied >= 0.3) - 4.0 * (varied < VARIES)
        score -= 2.0 * (column.share < 0.5)
        scored.append((score, column))
    order = list(columns)
    return sorted(scored, key=lambda s: (-s[0], order.index(s[1].name)))


def guess_roles(
    rows: pl.DataFrame,
    columns: Mapping[str, Column],
    fixed: Mapping[str, Guess],
    varies: Mapping[str, float] | None = None,
) -> Roles:
    """Guess the role of each column.

    Parameters
    ----------
    rows
        Raw rows, every column as text.
    columns
        What `profile` says of them.
    fixed
        Roles that a recipe has settled; the customer must be among them.
    varies
        What `vary_labels` says; None: it is asked.

    Raises
    ------
    InputError
        Where no column can be the time or the touchpoint.
    """
    roles = Roles(dict(fixed))
    customer = roles.columns["customer"].value
    roles.varies = dict(varies) if varies is not None else vary_labels(rows, columns, customer)
    if "occurred_at" not in roles.columns:
        _guess_time(roles, columns)
    if "touchpoint" not in roles.columns:
        _guess_touchpoint(roles, columns)
    free = {n: c for n, c in columns.items() if n not in roles.taken() and c.distinct > 1}
    _guess_labels(roles, free)
    for role, names in _SPECIAL.items():
        fits = _FITS[role]
        found = [(r, c) for c in free.values() if (r := _named(c, names)) is not None and fits(c)]
        found = [(r, c) for r, c in found if c.name not in roles.taken()]
        if found:
            best = min(found, key=lambda rc: rc[0])[1]
            roles.columns[role] = Guess(best.name, f"its name and content look like {role}")
    _guess_product(roles, free)
    times = [c for c in rank_times(free) if c.name not in roles.taken()]
    ended = [
        c for c in times if set(c.words) & {"end", "ended", "finished", "ende", "einde", "stop"}
    ]
    if ended and "estimated" not in ended[0].words:
        roles.columns["ended_at"] = Guess(ended[0].name, "its name and content look like the end")
    told = roles.columns["touchpoint"].value
    by_touchpoint = {
        c
        for c in free
        if told in rows.columns
        and "touchpoint" not in fixed
        and columns[c].distinct <= columns[told].distinct <= 300
        and rows.select(told, c).n_unique()
        <= columns[told].distinct + bool(rows[told].null_count())
    }
    _guess_surroundings(roles, {n: c for n, c in free.items() if n not in by_touchpoint})
    return roles


def _guess_product(roles: Roles, free: Mapping[str, Column]) -> None:
    """Of lines with a price for one and how many, the amount is their product."""
    numbers = [c for c in free.values() if c.kind == "number"]
    found = [
        next((c.name for c in numbers if (r := _named(c, n)) is not None and r < len(n)), None)
        for n in (_QUANTITY, _PRICE)
    ]
    paid = roles.columns.get("amount")
    if None not in found and (paid is None or paid.value == found[1]):
        name = f"{found[0]} * {found[1]}"
        roles.columns["amount"] = Guess(name, "how many, times the price of one")


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
        raise InputError(
            f"no column looks like the occurred_at; there are: {listed(list(columns))}; name it "
            "in the map under columns: {occurred_at: …}"
        )
    others = f"; others: {', '.join(c.name for c in times[1:4])}" if times[1:] else ""
    roles.columns["occurred_at"] = Guess(times[0].name, f"it holds times{others}")
    clocks = [c for c in columns.values() if is_clock(c)]
    if clocks and is_date(times[0]):
        why = f"the clock that belongs to {times[0].name!r}"
        roles.columns["time_of_day"] = Guess(clocks[0].name, why)


def _guess_touchpoint(roles: Roles, columns: Mapping[str, Column]) -> None:
    customer = roles.columns["customer"].value
    free = {n: c for n, c in columns.items() if n not in roles.taken()}
    ranked = rank_touchpoints(free, roles.varies)
    if ranked and ranked[0][0] >= 2 and names_contacts(ranked[0][1]):
        best = ranked[0][1]
        others = [c.name for s, c in ranked[1:3] if s >= 2]
        why = f"its name and content: {best.distinct} values, several for a customer"
        why += f"; runners-up: {', '.join(others)}" if others else ""
        if best.kind == "number":
            roles.doubts.append(
                f"the touchpoints in {best.name!r} are numbers, codes that nobody can read: is "
                "there a column or a table with their names?"
            )
        roles.columns["touchpoint"] = Guess(best.name, why)
        return
    nearest = [
        c
        for c in free.values()
        if c.kind == "text"
        and 2 <= c.distinct <= 300
        and c.share >= 0.5
        and c.speaks >= 0.5
        and c.each >= 3
        and not set(c.words)
        & {"id", "email", "name", "city", "country", "currency", "assigned", "assignee", "rep"}
    ]
    varied = [c for c in nearest if roles.varies.get(c.name, 0) >= VARIES] or nearest
    by_channel = sorted(varied, key=lambda c: (_named(c, _CHANNEL) is None, -c.distinct))
    if not by_channel:
        raise InputError(
            "no column names a contact: none has few, repeated, speaking values that change within "
            f"{customer!r}; there are: {listed(list(columns))}. If each row is the same kind of "
            "contact, name it in the map by a rule, such as touchpoints: [{name: visit, stage: …, "
            f'match: {{{customer}: "."}}}}]'
        )
    best = by_channel[0]
    roles.columns["touchpoint"] = Guess(best.name, "no column names a contact; this is the nearest")
    roles.doubts.append(
        f"no column names a contact: {best.name!r} is the nearest of {listed(list(columns))}; look "
        "for an export with one row for each contact"
    )


def _guess_labels(roles: Roles, free: Mapping[str, Column]) -> None:
    """Find channel and owner, stage and who began it."""
    labels = [
        c
        for c in free.values()
        if c.kind == "text" and 2 <= c.distinct <= 200 and c.share >= 0.3 and c.speaks >= 0.5
    ]
    for role, names in (
        ("channel", _CHANNEL),
        ("owner", _OWNER),
        ("stage", ("stage", "phase", "fase", "funnel stage")),
    ):
        ranked = [
            (r, c)
            for c in labels
            if (r := _named(c, names)) is not None and c.name not in roles.taken()
        ]
        ranked = [
            (r, c)
            for r, c in ranked
            if not set(c.words) & {"id", "age", "price", "lifecycle", "user", "first"}
        ]
        if role != "owner":
            ranked = [
                (r, c)
                for r, c in ranked
                if roles.varies.get(c.name, 1) >= VARIES
                or (role == "channel" and _of_case(roles, c))
            ]
        if not ranked:
            continue
        best = min(ranked, key=lambda rc: rc[0])[1]
        varied = roles.varies.get(best.name, 1.0)
        why = f"its name; {varied:.0%} of the customers have several of its {best.distinct} values"
        if role == "channel" and varied < VARIES:
            why = f"the channel by which the case came in, one of {best.distinct} for each"
            roles.segments[best.name] = Guess(best.name, why)
        roles.columns[role] = Guess(best.name, why)


def _of_case(roles: Roles, column: Column) -> bool:
    """Whether a column is the channel of a case: its steps then have no channel of their own."""
    customer = roles.columns["customer"].value.lower()
    return customer.startswith("case") and set(column.words) <= {"case", *_CHANNEL[:4]}


def _guess_surroundings(roles: Roles, free: Mapping[str, Column]) -> None:
    """Sort what is left into segments of the customer and environments of the contact."""
    combinations = 1
    for name in roles.segments:
        combinations *= free[name].distinct + 1
    customers = roles.columns["customer"].value
    left = [
        c
        for c in free.values()
        if c.name not in roles.taken()
        and c.name != customers
        and c.kind in ("text", "flag", "number")
        and c.share >= 0.1
        and not c.counts["value"][0].startswith(("{", "["))
        and not set(c.words)
        & {"id", "uuid", "hash", "email", "phone", "name", "url", "ip", "lifecycle:transition"}
        and "transition" not in c.words
    ]
    for column in sorted(left, key=lambda c: c.distinct):
        varied = roles.varies.get(column.name)
        if varied is None:
            continue
        few = column.distinct <= (8 if column.kind == "number" else 40)
        if varied < VARIES and few and column.each >= 3:
            if len(roles.segments) < SEGMENTS and combinations * (column.distinct + 1) <= 256:
                combinations *= column.distinct + 1
                why = f"one of {column.distinct} values for each customer"
                if varied:
                    why = f"one of {column.distinct} values for {1 - varied:.1%} of the customers"
                roles.segments[column.name] = Guess(column.name, why)
        elif (
            varied >= VARIES
            and column.kind == "text"
            and column.each >= 5
            and column.distinct <= 300
        ):
            named = bool(set(column.words) & _WHERE)
            if (named or column.speaks >= 0.5) and len(roles.environments) < ENVIRONMENTS:
                why = f"{column.distinct} values, several for {varied:.0%} of the customers"
                roles.environments[column.name] = Guess(column.name, why)


def _is_rating(column: Column) -> bool:
    if column.kind != "number" or set(column.words) & _NOT_RATED or column.distinct > 201:
        return False
    if column.words[-1:] == ("score",) and not set(column.words) & _ASKED:
        return column.distinct > 1 and bool(column.numbers.is_between(0, 10).all())
    return column.distinct > 1 and bool(column.numbers.is_between(-100, 100).all())


_FITS: Mapping[str, Callable[[Column], bool]] = {
    "rating": _is_rating,
    "amount": lambda c: c.kind == "number" and not set(c.words) & _NOT_PAID and c.distinct > 3,
    "cost": lambda c: c.kind == "number" and c.distinct > 3,
    "issue": lambda c: c.kind == "text",
    "comment": lambda c: c.kind == "text",
    "sequence": lambda c: c.kind == "number" and not (c.numbers % 1 != 0).any(),
}


def named_role(column: Column) -> str | None:
    """Return the special role that a column has by its name and content, "rating" or another."""
    for role, names in _SPECIAL.items():
        if _named(column, names) is not None and _FITS[role](column):
            return role
    return None


def is_clock(column: Column) -> bool:
    """Whether a column holds a time of the day alone, beside a column of dates."""
    clock = r"^\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:\s?[AaPp]\.?[Mm]\.?)?$"
    return column.filled > 0 and bool(column.counts["value"].str.contains(clock).all())


def is_date(column: Column) -> bool:
    """Whether a column holds dates without a time of the day."""
    return column.filled > 0 and not column.counts["value"].str.contains(r"\d:\d").any()


def is_step_time(column: Column) -> bool:
    """Whether a column says when something happened: no plan, no end, no record of the system."""
    words = set(column.words)
    return (
        column.kind == "time"
        and not words & (_NOT_WHEN - {"first", "last"})
        and column.distinct > 1
    )


def names_contacts(column: Column) -> bool:
    """Whether a column is called as those may be called that name contacts."""
    return _named(column, _CONTACT) is not None


def strong_touchpoint(column: Column) -> bool:
    """Whether a column is called as those are called that name contacts and nothing else."""
    rank = _named(column, _CONTACT)
    return rank is not None and rank % len(_CONTACT) <= _CONTACT.index("activity type")


def rates(column: Column) -> bool:
    """Whether a column of a table of answers holds the mark: by its name, or as question 1, 2, …"""
    if column.kind != "number":
        return False
    is_question = re.fullmatch(r"(?i)q(uestion)?[ _]?\d+.*", column.name) is not None
    return named_role(column) == "rating" or (is_question and _is_rating(column))
