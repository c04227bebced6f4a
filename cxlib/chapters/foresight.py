"""What could break next in words, how good such forecasts were, and what describes the log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cxlib.chapters.markdown import bullets, table_of
from cxlib.figures.fragmentation import effect_text, signal_name
from cxlib.markup import markdown_text as md
from cxlib.numbers import people, share

if TYPE_CHECKING:
    from cxlib.fragmentation import (
        Backtest,
        DescribedSignals,
        HandoffForecast,
        JourneyRisk,
        SelfTest,
    )

__all__ = [
    "backtest_table",
    "described_table",
    "forecast_table",
    "journey_test_table",
    "planted_table",
    "say_backtest",
    "say_foresight",
    "say_foresight_limits",
    "say_selftest",
    "under_way_table",
]

_PLANTED_UNITS = {"delay": "ratio of medians", "perception_dip": "rating points"}


def say_foresight(handoffs: HandoffForecast, risk: JourneyRisk) -> str:
    """Say which handoffs could break next, and where customers now under way stand."""
    return bullets(
        [
            f"Handoffs. {md(handoffs.sentence)}",
            f"Customers. {md(risk.sentence)}",
        ]
    )


def forecast_table(found: HandoffForecast, *, most: int = 6) -> str:
    """Return the handoffs with most cases to expect beyond like handoffs, next period."""
    return table_of(
        [
            {
                "handoff": f"{row['source']} → {row['target']}",
                "owner": row["owner"] or "–",
                "arrivals to expect": people(row["n"]),
                "last measured": "–" if row["last"] is None else f"{100 * row['last']:+.0f} points",
                "forecast (95 %)": f"{100 * row['excess']:+.0f} points "
                f"({100 * row['excess_low']:+.0f} to {100 * row['excess_high']:+.0f})",
                "chance of more than 5 points": share(row["chance"]),
            }
            for row in found.table.head(most).to_dicts()
        ]
    )


def under_way_table(found: JourneyRisk) -> str:
    """Return the customers under way by their risk now, and how many of them may fragment."""
    return table_of(
        [
            {
                "risk": f"{share(row['at_least'])} to {share(row['below'])}",
                "customers under way": people(row["customers"]),
                "share": share(row["share"]),
                "expected to fragment": people(row["expected"]),
            }
            for row in found.by_risk.to_dicts()
        ]
    )


def say_backtest(test: Backtest) -> str:
    """Say how good the predictions were at past dates."""
    return bullets([test.handoff_sentence, test.under_way_sentence, test.sentence])


def backtest_table(test: Backtest) -> str:
    """Return how many of the worst handoffs each way of ranking had named, and its sizes."""
    return table_of(
        [
            {
                "ranking": row["method"],
                "named of the worst": "–"
                if row["hits"] is None
                else f"{row['hits']} of {row['of']}",
                "by chance": f"{row['by_chance']:.1f}",
                "cases beyond like handoffs": "–"
                if row["cases"] is None
                else f"{row['cases']:,.0f}",
                "error of sizes": "–" if row["rmse"] is None else f"{100 * row['rmse']:.1f} points",
            }
            for row in test.overlap.to_dicts()
        ]
    )


def journey_test_table(test: Backtest) -> str:
    """Return per date what was predicted of the contacts after it, and what came."""
    return table_of(
        [
            {
                "contacts of": "all dates"
                if row["fold"] == "all"
                else f"{row['from']:%d %b} to {row['until']:%d %b %Y}",
                "contacts": f"{row['contacts']:,}",
                "predicted to fragment": share(row["predicted"]),
                "did": share(row["fragmented"]),
                "Brier score (95 %)": f"{row['brier']:.3f} "
                f"({row['brier_low']:.3f} to {row['brier_high']:.3f})",
                "better than the base rate by": share(
                    row["skill"], row["skill_low"], row["skill_high"]
                ),
            }
            for row in test.table.to_dicts()
        ]
    )


def say_selftest(test: SelfTest) -> str:
    """Say what was found in copies of the log without a fault, and with a planted one."""
    lines = [test.sentence]
    lines += [
        f"{signal_name(row['signal'])}: none planted, because "
        f"{row['reason'].removeprefix('not measurable, because ')}."
        for row in test.skipped.to_dicts()
    ]
    return bullets(lines)


def planted_table(test: SelfTest) -> str:
    """Return the planted faults: what was planted, and what was measured."""
    return table_of([_planted_row(row) for row in test.planted.to_dicts()])


def _planted_row(row: Mapping[str, Any]) -> dict[str, str]:
    unit = _PLANTED_UNITS.get(row["signal"], "share")
    planted = {**row, "unit": unit, "effect": row["size"]}
    return {
        "fault": signal_name(row["signal"]),
        "planted on": f"{row['source']} → {row['target']}",
        "size": effect_text(planted, interval=False),
        "found": "yes" if row["found"] else "no",
        "measured (95 %)": "–"
        if row["effect"] is None
        else effect_text({**row, "unit": unit}, interval=True),
    }


def described_table(described: DescribedSignals) -> str:
    """Return the signals that describe the whole log, each with its interval or its reason."""
    return table_of(
        [
            {
                "signal": row["signal"].replace("_", " "),
                "of": row["what"] or "–",
                "cases": f"{row['n']:,}" if row["measurable"] else "–",
                "value (95 %)": _value(row) if row["measurable"] else row["reason"],
            }
            for row in described.table.to_dicts()
        ],
        most=40,
    )


def _value(row: Mapping[str, Any]) -> str:
    if row["unit"] == "share":
        return share(row["value"], row["low"], row["high"])
    ends = "" if row["low"] is None else f" ({row['low']:.2f} to {row['high']:.2f})"
    unit = "" if row["unit"] == "ratio" else f" {row['unit']}"
    return f"{row['value']:.2f}{unit}{ends}"


def say_foresight_limits(handoffs: HandoffForecast, risk: JourneyRisk) -> str:
    """Say what the predictions cannot know."""
    facts = [
        f"What began within the last {risk.horizon.days} days is not in the forecast of handoffs: "
        "whoever came then has not yet been followed for long enough.",
        "A campaign or a new version of the site after the last followed contact changes the "
        "risks, and no earlier contact announces it.",
        "What goes along with a risk need not be its cause.",
    ]
    if handoffs.reason is None:
        facts.insert(
            1,
            f"{len(handoffs.table):,} handoffs are forecast; those with too few arrivals in every "
            "period are not.",
        )
    if risk.sample_step > 1:
        facts.append(f"Risks were learned from every {risk.sample_step}th customer.")
    return bullets(facts)
