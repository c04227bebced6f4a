"""What an unknown log says of its journeys: stages, goal, losses, and the silence that ends one."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

import numpy as np
import polars as pl

from cxlib.ingest.evidence import groups, guess_by_words, words, words_of
from cxlib.map_model import ONE_STAGE, format_duration

STAGES = ("awareness", "exploration", "conversion", "aftersales")  # the usual four, in their order
CLEAR = 0.2  # spread of a touchpoint's places in the histories up to which they tell its stage
_MOSTLY_FIRST = 0.3
_OUTCOME = 0.6  # how far into a case its outcome comes at least, on average
_LEAST = 1.3
_MONTH = timedelta(days=30)
_NICE = [
    timedelta(minutes=minutes)
    for unit, counts in ((1, (5, 10, 15, 30)), (60, (1, 2, 4, 6, 8, 12)),
                         (1440, (1, 2, 3, 4, 5, 7, 10, 14, 21, 30, 45, 60, 90, 120, 180, 365)))
    for minutes in (unit * count for count in counts)
]  # fmt: skip


def order_contacts(contacts: pl.DataFrame) -> pl.DataFrame:
    """Order contacts by customer and time; add their ``position`` in the history, 0 to 1.

    ``is_last``: nothing follows but contacts that end a journey by their names, as it does itself.
    """
    order = ["customer", "occurred_at", *(["sequence"] if "sequence" in contacts.columns else [])]
    number, count = pl.int_range(pl.len()).over("customer"), pl.len().over("customer")
    names = contacts["touchpoint"].unique().to_list()
    going = ~pl.col("touchpoint").is_in([n for n in names if set(words_of(n)) & words("lost")])
    last_going = pl.when(going).then(number).max().over("customer").fill_null(-1)
    return contacts.sort(order, maintain_order=True).with_columns(
        position=pl.when(count > 1).then(number / (count - 1)).otherwise(0.5),
        is_first=number == 0,
        is_last=pl.when(going).then(number == count - 1).otherwise(number > last_going),
        of=count,
    )


def describe_touchpoints(contacts: pl.DataFrame) -> pl.DataFrame:
    """Return touchpoints by frequency, with what their contacts have in common."""
    described = contacts.group_by("touchpoint").agg(
        pl.len().alias("contacts"),
        pl.col("position", "is_first", "is_last").mean(),
        spread=pl.col("position").std().fill_null(0.0),
        alone=(pl.col("of") < 2).mean(),
    )
    return described.sort(["contacts", "touchpoint"], descending=[True, False])


class Stages(NamedTuple):
    """The stages in order, and why; by touchpoint its stage and why; what the reader must say."""

    names: list[str]
    why: str
    of: dict[str, tuple[str, str]]
    question: str = ""


def fold(values: pl.Expr) -> pl.Expr:
    """Return names as those are equal that differ by case and blanks around them only."""
    return values.str.strip_chars().str.to_lowercase()


def usual_spelling(values: pl.Series) -> dict[str, str]:
    """Return the commonest spelling of each folded name; of equal ones that in lower case."""
    counted = values.drop_nulls().alias("name").value_counts()
    low = fold(pl.col("name"))
    ordered = counted.with_columns(folded=low, is_lower=pl.col("name") == low)
    ordered = ordered.sort("count", "is_lower", "name", descending=[True, True, False])
    usual = ordered.unique("folded", keep="first", maintain_order=True)
    return dict(usual.select("folded", "name").iter_rows())


def guess_stages(contacts: pl.DataFrame, places: pl.DataFrame) -> Stages:
    """Guess the stages: from a column, else from words, else from clear places in the history."""
    if "stage" in contacts.columns and contacts["stage"].null_count() < contacts.height:
        return _from_column(contacts)
    guesses = {name: guess_by_words(name, "stages") for name in places["touchpoint"]}
    by_words = {name: stage for name, stage in guesses.items() if stage is not None}
    near = places.filter(pl.col("touchpoint").is_in(list(by_words)))
    few = 2 * int(near["contacts"].sum()) < int(places["contacts"].sum())
    if few or len(set(by_words.values())) < 2:
        return Stages(
            [ONE_STAGE],
            "one for all, since neither names nor a column say them",
            dict.fromkeys(places["touchpoint"], (ONE_STAGE, "one for all: nothing says more")),
            "neither the names nor a column say the stages: name them in their order, and give "
            "each touchpoint one",
        )
    found = {name: (stage, "by its name") for name, stage in by_words.items()}
    unsure = []
    for row in places.filter(~pl.col("touchpoint").is_in(list(by_words))).iter_rows(named=True):
        name = row["touchpoint"]
        if row["spread"] <= CLEAR and row["alone"] < 0.5:
            stage = STAGES[min(int(row["position"] * 4), 3)]
            found[name] = (stage, f"as always about {row['position']:.0%} into a history")
        else:
            nearest = near.sort((pl.col("position") - row["position"]).abs())["touchpoint"][0]
            found[name] = (by_words[nearest], f"that of {nearest!r}, at a like place; sure?")
            unsure.append(name)
    more = f" and {len(unsure) - 3} more" if unsure[3:] else ""
    shown = f"nothing says the stage of {', '.join(map(repr, unsure[:3]))}{more}"
    return Stages(list(STAGES), "the usual four", found, shown if unsure else "")


def commonest(contacts: pl.DataFrame, *by: str) -> dict[str, str]:
    """Return for each value of the first of two columns the commonest one of the second."""
    counted = contacts.drop_nulls(by[1]).group_by(by).len()
    ordered = counted.sort(["len", by[1]], descending=[True, False])
    usual = ordered.unique(by[0], keep="first", maintain_order=True)
    return dict(usual.select(by).iter_rows())


def _from_column(contacts: pl.DataFrame) -> Stages:
    staged = contacts.drop_nulls("stage").with_columns(folded=fold(pl.col("stage")))
    spelling = usual_spelling(staged["stage"])
    place = staged.group_by("folded").agg(pl.col("position").mean()).sort("position", "folded")
    names = place["folded"].to_list()[:200]
    meant = {n: STAGES.index(s) for n in names if (s := guess_by_words(n, "stages"))}
    why = "in the order of their usual place in a history"
    if set(names) <= set(STAGES):
        names, why = sorted(names, key=STAGES.index), "the usual four"
    elif len(meant) == len(names) > 1 and len(set(meant.values())) > 1:
        names = sorted(names, key=lambda n: (meant[n], names.index(n)))
        why = "in the order of what they mean"
    usual = commonest(staged, "touchpoint", "folded")
    of = {t: (spelling[s], "the log says so most often") for t, s in usual.items()}
    return Stages([spelling[n] for n in names], why, of)


def is_of_one_stage(contacts: pl.DataFrame) -> bool:
    """Whether nearly all contacts of a touchpoint are of one stage, so that its name is enough."""
    folded = contacts.drop_nulls("stage").select(fold(pl.col("touchpoint", "stage")))
    counted = folded.group_by("touchpoint", "stage").len()
    most = counted.group_by("touchpoint").agg(pl.col("len").max())["len"].sum()
    return int(most) >= 0.9 * int(counted["len"].sum())


def guess_goal(places: pl.DataFrame, *, of_cases: bool = False) -> tuple[list[str], str]:
    """Return the touchpoints that are the goal, and why; none where nothing says it.

    ``of_cases``: each history is one case, whose outcome lies in its later half.
    """
    found, too_early = [], []
    for row in places.iter_rows(named=True):
        spoken = set(words_of(row["touchpoint"]))
        said = [s for s, good in groups("good").items() for _ in spoken & set(good)]
        bad = words("bad") - (words("troubles") if spoken & words("mended") else set())
        if spoken & bad or not said:
            continue
        if row["is_first"] > _MOSTLY_FIRST and row["alone"] < 0.9:
            too_early.append(f"{row['touchpoint']!r} is mostly a first contact")
            continue
        if of_cases and row["position"] < _OUTCOME:
            too_early.append(f"{row['touchpoint']!r} comes {row['position']:.0%} into a case")
            continue
        sure = max(said) + 0.1 * (len(said) - 1) - 1.0 * bool(spoken & words("on_the_way"))
        if sure >= _LEAST:
            found.append((sure, row["position"], row["contacts"], row["touchpoint"], spoken))
    if not found:
        first = f" ({too_early[0]})" if too_early else ""
        return [], f"nothing in the names says what the goal is{first}; name it"
    best = max(found, key=lambda f: f[:3])
    why = f"an outcome by its name, {best[1]:.0%} into a customer's history on average"
    # there are several ways to pay: each is the goal
    alike = {best[3]} | {
        f[3]
        for f in found
        if f[0] == best[0] and f[0] >= 3.0 and f[4] & best[4] and abs(f[1] - best[1]) < 0.25
    }
    if others := sorted((f for f in found if f[3] not in alike), reverse=True):
        why += f"; not {', '.join(repr(f[3]) for f in others[:3])}, which say less or come before"
    return sorted(alike, key=lambda n: (n != best[3], n)), why


def guess_lost(places: pl.DataFrame, goals: list[str]) -> list[str]:
    """Return touchpoints that end a journey without its goal, by their names and what follows."""
    ends = places.filter((pl.col("is_last") > 0.3) & ~pl.col("touchpoint").is_in(goals))
    return [name for name in ends["touchpoint"] if set(words_of(name)) & words("lost")]


class Gap(NamedTuple):
    """The silence that ends a journey, and the evidence for it."""

    value: timedelta
    why: str


def guess_gap(contacts: pl.DataFrame, *, least: timedelta = timedelta(0)) -> Gap | None:
    """Return the silence that ends a journey: where long ones part from short ones."""
    at = pl.col("occurred_at")
    span: timedelta | None = contacts.select(at.max() - at.min()).item()
    if not span:
        return None
    most = span / 3
    same = pl.col("customer") == pl.col("customer").shift(1)
    silences = contacts.select((at - at.shift(1)).filter(same)).to_series().drop_nulls()
    silences = silences.filter(silences > timedelta(0))
    seconds = silences.dt.total_microseconds().to_numpy() / 1e6

    def longer(value: timedelta) -> float:
        return float(np.mean(seconds > value.total_seconds())) if len(seconds) else 0.0

    found = _valley(seconds, max(6 * 3600.0, least.total_seconds()), most.total_seconds())
    if found is not None:
        value = _nice(timedelta(seconds=found), most)
        counted = f"of {len(seconds):,} silences within a customer {longer(value):.1%} are longer"
        return Gap(value, f"{counted}; their valley lies at about {_rough(found)}")
    # where customers come back more rarely than each month, a month would part all contacts
    usual = float(np.quantile(seconds, 0.9)) if len(seconds) else 0.0
    value = _nice(max(_MONTH, least * 1.2, timedelta(seconds=usual * 1.2)), most)
    why = "a month: the silences have no valley"
    if value < _MONTH:
        spans = _rough(span.total_seconds())
        why = f"a third of the log, which spans {spans}: longer silences can hardly be seen in it"
    elif least * 1.2 > _MONTH:
        why = f"the steps of one row are up to {_rough(least.total_seconds())} apart (99 %)"
    elif value > _MONTH:
        why = "customers come back rarely, and the silences have no valley"
    return Gap(value, f"{why}; {longer(value):.1%} of {len(seconds):,} silences are longer")


def _valley(seconds: np.ndarray, least: float, most: float) -> float | None:
    """Find the lowest point between two hills of the silences, between two lengths in seconds."""
    if len(seconds) < 200:
        return None
    edges = np.arange(0, 9.01, 1 / 8)  # eight bins a decade
    counts, _ = np.histogram(np.log10(seconds.clip(1, 10**8.99)), edges)
    smooth = np.convolve(counts, np.array([1, 4, 6, 4, 1]) / 16, mode="same")
    middles = 10 ** ((edges[:-1] + edges[1:]) / 2)
    best, depth = None, 0.6
    for i in np.flatnonzero((middles >= least) & (middles <= most)):
        lower = min(smooth[:i].max(initial=0), smooth[i + 1 :].max(initial=0))
        beyond = counts[i + 1 :].sum() / len(seconds)
        # a hill on each side, neither of them a few stragglers
        if lower > 0 and 0.02 <= beyond <= 0.8 and lower >= 0.005 * len(seconds):
            ratio = smooth[i] / lower
            if ratio < depth:
                best, depth = float(middles[i]), ratio
    return best


def _nice(value: timedelta, most: timedelta) -> timedelta:
    second = timedelta(seconds=1)
    allowed = [n for n in _NICE if n <= most] or [max(most // second * second, second)]
    return min(allowed, key=lambda n: abs(np.log(n / max(value, second))))


def _rough(seconds: float) -> str:
    for size in (86_400, 3_600, 60):
        if seconds >= 2 * size:
            return format_duration(timedelta(seconds=round(seconds / size) * size))
    return f"{seconds:.0f}s"
