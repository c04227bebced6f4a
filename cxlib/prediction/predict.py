"""`predict_breaks`: the handoffs and customers that could break next, and the record of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from datetime import datetime, timedelta

import polars as pl

from cxlib.arrivals.arrivals import read_arrivals
from cxlib.columns import Columns, Customers, Instant, Label, Share, Tables, Wait
from cxlib.errors import InputError, UnknownNameError
from cxlib.fragmentation.findings import measure_fragmentation
from cxlib.numbers import decimal, people, plural, points, share
from cxlib.prediction.handoffs import (
    HANDOFFS,
    MIN_HISTORY,
    can_be_forecast,
    forecast_excess,
    judge_spans,
    name_handoffs,
    replay_handoffs,
)
from cxlib.prediction.record import RECORD, hold_against, why_not_told
from cxlib.prediction.under_way import (
    fit_risk,
    read_contacts,
    replay_under_way,
    score_under_way,
    why_not_learnable,
)
from cxlib.results import Result, of_workspace, result
from cxlib.signals import SIGNALS
from cxlib.store import Workspace

_PLACE = {"touchpoint": "the present one", "channel": "its channel", "stage": "its stage"}
_WHERE = {name: Label(about) for name, about in _PLACE.items()}
_NAMED = 5


@result
class Prediction(Result):
    """What could break next, for all customers.

    Attributes
    ----------
    signal
        What the handoffs are forecast for.
    horizon
        Silence that counts as having left.
    customers_under_way
        How many customers are within the horizon.
    handoff_reason, customer_reason
        Why there is nothing to tell of handoffs, or of customers; None where there is.
    """

    under_way: pl.DataFrame
    record: pl.DataFrame
    customers: pl.DataFrame = field(default_factory=pl.DataFrame)
    signal: str
    horizon: timedelta
    customers_under_way: int
    handoff_reason: str | None = None
    customer_reason: str | None = None

    title = "What could break next"
    tables = Tables(
        table=HANDOFFS,
        under_way=Columns(
            "where customers under way stand; most cases to expect first",
            **_WHERE,
            customers=Customers("there now"),
            risk_now=Share("of them expected to fall silent or to go back a stage", of="customers"),
        ),
        record=RECORD,
        customers=Columns(
            "one row per customer still within the horizon, highest risk_now first",
            customer=Label("id"),
            **_WHERE,
            occurred_at=Instant("time of the present contact"),
            silent_for=Wait("since the present contact"),
            risk=Share("chance of falling silent or going back, as known at the contact"),
            risk_now=Share("the same for a customer not heard of for `silent_for`"),
        ),
    )

    @property
    def headlines(self) -> Sequence[str]:
        """The answer in words, the same wherever it is shown."""
        return (*self.handoff_sentences, self.customer_sentence, *self.record_sentences)

    @property
    def handoff_sentences(self) -> Sequence[str]:
        """What is to be expected of handoffs."""
        if self.handoff_reason is not None:
            return (f"No handoff is forecast, because {self.handoff_reason}.",)
        likely = self.table.filter("could_break")
        title = SIGNALS[self.signal].title
        if likely.is_empty():
            return (f"No handoff is likely to break in the next period ({title}).",)
        said = []
        for row in likely.head(_NAMED).to_dicts():
            owner = f" (owner: {row['owner']})" if row["owner"] else ""
            of = f", of about {people(row['n'])} arrivals" if row["n"] is not None else ""
            said.append(
                f"{row['source']} → {row['target']}{owner}: "
                f"{points(row['excess'], row['excess_low'], row['excess_high'])} more than at "
                "similar handoffs are to be expected, with a chance of "
                f"{share(row['chance'])} that it is more than 5{of}."
            )
        head = f"{plural(len(likely), 'handoff')} could break in the next period ({title})."
        return (head, *said)

    @property
    def customer_sentence(self) -> str:
        """What is to be expected of the customers under way."""
        if self.customer_reason is not None:
            return f"Nothing is said of customers under way, because {self.customer_reason}."
        known = self.under_way.drop_nulls("risk_now")
        if known.is_empty():
            return "Too few customers are under way to say anything of them."
        row = known.row(0, named=True)
        return (
            f"{plural(self.customers_under_way, 'customer')} are under way; most cases are to be "
            f"expected after {row['touchpoint']} ({row['channel']}): of {people(row['customers'])} "
            f"there, {share(row['risk_now'])} are expected to fall silent for "
            f"{decimal(self.horizon.days)} days or to go back a stage."
        )

    @property
    def record_sentences(self) -> Sequence[str]:
        """How much closer to what came the same predictions were at past dates."""
        said = []
        for (about,), rows in self.record.group_by("about", maintain_order=True):
            dates = rows["at"].drop_nulls().n_unique()
            total = rows.filter(pl.col("at").is_null()).drop_nulls("gain")
            for row in total.to_dicts() if dates else ():
                closer = share(row["gain"], row["gain_low"], row["gain_high"])
                broke = f"{share(row['predicted'])} were expected to fragment"
                also = f"; {broke} and {share(row['came'])} did" if about == CUSTOMERS else ""
                said.append(
                    f"At {plural(dates, 'past date')} the prediction of {about} was {closer} "
                    f"closer to what came than {row['rival']}{also}."
                )
        return said


HANDOFF, CUSTOMERS = "handoffs", "customers under way"


@of_workspace
def predict_breaks(
    workspace: Workspace,
    *,
    signal: str = "abandonment",
    horizon: timedelta | None = None,
) -> Prediction:
    """Predict which handoffs and which customers under way could break next.

    Both predictions are made again at past dates, from what was known then (contacts and spans of
    time that were fully followed: the embargo), and held against what came. Where one was not
    surely closer to it than going by the past, or findings of the signal cannot be measured, it is
    not told, and the answer says why.

    Parameters
    ----------
    workspace
        The log.
    signal
        What handoffs are forecast for, such as "abandonment" or "backtracking".
    horizon
        Silence after which a customer counts as gone; None: the journey map's gap (30 days if
        none), or 14 or 7 days where that does not fit three times into the log.

    Raises
    ------
    UnknownNameError
        The signal cannot be forecast.
    InputError
        The horizon is not positive.
    """
    if signal not in can_be_forecast():
        raise UnknownNameError("signal", signal, can_be_forecast())
    if horizon is not None and horizon <= timedelta(0):
        raise InputError(f"horizon is {horizon}; give a positive one, such as timedelta(days=30)")
    until = workspace.observed_until
    span = until - datetime.fromisoformat(workspace.manifest["first_at"])
    horizon = horizon or read_arrivals(workspace).settings.silence
    refused, handoff_reason, table, handoff_record = _forecast(workspace, signal)
    labelled, present = read_contacts(workspace, horizon)
    reason = why_not_learnable(labelled, span, horizon)
    kept = labelled if reason is None else labelled.clear()
    tested = hold_against(replay_under_way(kept, horizon=horizon, until=until), CUSTOMERS)
    reason = refused or reason or why_not_told(tested)
    customers = Prediction.tables["customers"].frame()
    if reason is None:
        customers = score_under_way(present, fit_risk(labelled), labelled, workspace)
    return Prediction(
        table=table if handoff_reason is None else table.clear(),
        under_way=_by_touchpoint(customers),
        record=pl.concat([handoff_record, tested]),
        customers=customers,
        signal=signal,
        horizon=horizon,
        customers_under_way=len(customers),
        handoff_reason=handoff_reason,
        customer_reason=reason,
        observed_until=until,
    )


def _forecast(
    workspace: Workspace, signal: str
) -> tuple[str | None, str | None, pl.DataFrame, pl.DataFrame]:
    """Why findings cannot be measured, why there is no forecast, the forecast, and its record."""
    arrivals = read_arrivals(workspace)
    nothing, untested = HANDOFFS.frame(), RECORD.frame()
    judged = measure_fragmentation(arrivals, signals=[signal]).signals
    for refused in judged.filter(~pl.col("measurable"))["reason"]:
        why = refused.removeprefix("not measurable, because ")
        return why, why, nothing, untested
    until = arrivals.settings.observed_until
    spans = judge_spans(arrivals, signal)
    known = [s for s in spans if s.known_at <= until]
    if sum(len(s.judged) > 0 for s in known) < MIN_HISTORY:
        reason = (
            f"fewer than {MIN_HISTORY} spans of time can be judged: all arrivals followed for "
            f"{arrivals.settings.silence.days} days, and handoffs with enough of them"
        )
        return None, reason, nothing, untested
    # spans that cannot be known yet lie between the history and the next one
    forecast = forecast_excess(known, ahead=1 + len(spans) - len(known))
    tested = hold_against(replay_handoffs(spans, until=until), HANDOFF)
    return None, why_not_told(tested), name_handoffs(forecast, arrivals.places), tested


def _by_touchpoint(customers: pl.DataFrame) -> pl.DataFrame:
    cases, down = pl.col("customers") * pl.col("risk_now"), [True, *[False] * len(_PLACE)]
    return (
        customers.group_by(*_PLACE)
        .agg(customers=pl.len().cast(pl.UInt32), risk_now=pl.col("risk_now").mean())
        .sort(cases, *_PLACE, descending=down)
    )
