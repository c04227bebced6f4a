"""Exports shaped as well-known systems write them: init, check and ingest read each of them whole.

Every export holds the same journeys: 20 customers see an ad, a page, a basket and mostly a payment.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cxlib.ingest import propose_map, read_events
from cxlib.journey_map import parse_journey_map

STEPS = ("ad click", "product page", "basket", "payment")
START = datetime(2024, 3, 4, 9, 30, 12, tzinfo=UTC)

CONTACTS = [
    (f"u{10_000 + who * 37}", START + timedelta(days=who % 11, hours=7 * step, minutes=who), name)
    for who in range(20)
    for step, name in enumerate(STEPS)
    if name != "payment" or who % 4
]
FIRST, LAST = min(at for _, at, _ in CONTACTS), max(at for _, at, _ in CONTACTS)
Rows = list[dict[str, Any]]


def _each(make: Callable[[str, datetime, str, int], dict[str, Any]]) -> Rows:
    return [make(who, at, name, n) for n, (who, at, name) in enumerate(CONTACTS)]


def _micros(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000)


def ga4(folder: Path) -> list[Path]:
    rows = _each(
        lambda who, at, name, n: {
            "event_date": f"{at:%Y%m%d}",
            "event_timestamp": str(_micros(at)),
            "event_name": name.replace(" ", "_"),
            "event_params": [{"key": "ga_session_id", "value": {"int_value": str(n)}}],
            "user_pseudo_id": who,
            "device": {"category": "mobile" if n % 2 else "desktop", "language": "de-de"},
            "collected_traffic_source": {"manual_source": "google", "manual_medium": "cpc"},
            "platform": "WEB",
        }
    )
    return [_jsonl(folder / "events_20240304.json", rows)]


def mixpanel(folder: Path) -> list[Path]:
    rows = _each(
        lambda who, at, name, n: {
            "event": name,
            "properties": {
                "time": int(at.timestamp()),
                "distinct_id": who,
                "$browser": "Firefox" if n % 3 else "Safari",
                "$insert_id": f"{n:08x}",
                "mp_lib": "web",
            },
        }
    )
    return [_jsonl(folder / "export.jsonl", rows)]


def segment_tracks(folder: Path) -> list[Path]:
    rows = _each(
        lambda who, at, name, n: {
            "id": f"ajs-{n:06}",
            "anonymous_id": who,
            "event": name.replace(" ", "_"),
            "event_text": name,
            "original_timestamp": f"{at + timedelta(seconds=2):%Y-%m-%d %H:%M:%S}.000 UTC",
            "received_at": f"{at + timedelta(seconds=3):%Y-%m-%d %H:%M:%S}.000 UTC",
            "sent_at": f"{at + timedelta(seconds=1):%Y-%m-%d %H:%M:%S}.000 UTC",
            "timestamp": f"{at:%Y-%m-%d %H:%M:%S}.000 UTC",
            "context_page_referrer": "https://www.google.com/",
        }
    )
    return [_csv(folder / "tracks.csv", rows)]


def posthog(folder: Path) -> list[Path]:
    rows = _each(
        lambda who, at, name, n: {
            "uuid": f"018e{n:08x}",
            "event": name,
            "properties": json.dumps({"$os": "iOS", "$utm_source": "mail"}),
            "distinct_id": who,
            "timestamp": at.isoformat().replace("+00:00", "Z"),
            "team_id": 1,
        }
    )
    return [_csv(folder / "posthog.csv", rows)]


def snowplow(folder: Path) -> list[Path]:
    rows = _each(
        lambda who, at, name, n: {
            "app_id": "shop",
            "platform": "web",
            "collector_tstamp": f"{at + timedelta(seconds=1):%Y-%m-%d %H:%M:%S.%f}"[:-3],
            "derived_tstamp": f"{at:%Y-%m-%d %H:%M:%S.%f}"[:-3],
            "event_id": f"e{n:06}",
            "event_name": name.replace(" ", "_"),
            "domain_userid": who,
            "mkt_medium": "cpc" if n % 5 else "",
        }
    )
    return [_csv(folder / "atomic_events.tsv", rows, "\t")]


def matomo(folder: Path) -> list[Path]:
    rows = _each(
        lambda who, at, name, n: {
            "visitor_id": who,
            "server_time": f"{at:%Y-%m-%d %H:%M:%S}",
            "action_name": name,
            "referrer_type": "search" if n % 2 else "direct",
            "country": "de",
        }
    )
    return [_csv(folder / "log_visits.csv", rows, ";")]


def zendesk(folder: Path) -> list[Path]:
    rows = _each(
        lambda who, at, name, n: {
            "ticket_id": 5_000 + n,
            "requester_id": who,
            "event_type": name,
            "created_at": f"{at:%Y-%m-%dT%H:%M:%SZ}",
            "via.channel": ("email", "chat", "phone")[n % 3],
        }
    )
    return [_csv(folder / "tickets.csv", rows)]


def excel_de(folder: Path) -> list[Path]:
    rows = _each(
        lambda who, at, name, n: {
            "Kunden-Nr": who,
            "Zeitpunkt": f"{at:%d.%m.%Y %H:%M:%S}",
            "Aktivität": name,
            "Kanal": ("Web", "App")[n % 2],
            "Betrag": f"{10 + n},50",
        }
    )
    path = _csv(folder / "Auswertung.csv", rows, ";")
    text = "Auswertung Kontakte;;;;\nStand: 01.04.2024;;;;\n\n" + path.read_text()
    path.write_bytes(text.encode("cp1252"))
    return [path]


def xes_like(folder: Path) -> list[Path]:
    rows = _each(
        lambda who, at, name, n: {
            "case:concept:name": who,
            "concept:name": name,
            "time:timestamp": at.isoformat(),
            "org:resource": f"r{n % 4}",
        }
    )
    return [_csv(folder / "log.csv", rows)]


def monthly_files_in_two_orders(folder: Path) -> list[Path]:
    paths = []
    for name, order, kept in (("eu", "%d/%m/%Y %H:%M:%S", 0), ("us", "%m/%d/%Y %H:%M:%S", 1)):
        rows = [
            {"user_id": who, "event": what, "time": f"{at:{order}}"}
            for n, (who, at, what) in enumerate(CONTACTS)
            if n % 2 == kept
        ]
        paths.append(_csv(folder / f"{name}.csv", rows))
    return paths


def _jsonl(path: Path, rows: Rows) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def _csv(path: Path, rows: Rows, separator: str = ",") -> Path:
    pl.DataFrame(rows).write_csv(path, separator=separator)
    return path


EXPORTS = (
    ga4, mixpanel, segment_tracks, posthog, snowplow, matomo, zendesk, excel_de, xes_like,
    monthly_files_in_two_orders,
)  # fmt: skip


@pytest.mark.parametrize("export", EXPORTS, ids=lambda export: export.__name__)
def test_an_export_is_read_whole_by_the_map_that_is_proposed(
    export: Callable[[Path], list[Path]], tmp_path: Path
) -> None:
    paths = export(tmp_path)
    made = propose_map(paths)
    assert made.report.contacts == len(CONTACTS)
    read = read_events(paths, parse_journey_map(made.text))
    assert read.set_aside.is_empty()
    events = read.events.collect()
    assert set(events["customer"]) == {who for who, _, _ in CONTACTS}
    assert {name.replace("_", " ") for name in events["touchpoint"]} == set(STEPS)
    told = events.select("customer", "occurred_at", pl.col("touchpoint").str.replace("_", " "))
    assert set(told.iter_rows()) == set(CONTACTS)


def test_the_amount_of_lines_is_how_many_times_the_price(tmp_path: Path) -> None:
    lines = [
        {
            "InvoiceNo": 536_365 + n,
            "StockCode": f"S{line}",
            "Quantity": 1 + (n + line) % 7,
            "InvoiceDate": f"{START + timedelta(days=n % 28):%m/%d/%Y %H:%M}",
            "UnitPrice": ("2,55", "1.012,75", "7,65")[(n + line) % 3],
            "CustomerID": 12_000 + n % 30,
        }
        for n in range(90)
        for line in range(1 + n % 3)
    ]
    path = _csv(tmp_path / "retail.csv", lines, ";")
    made = propose_map([path])
    assert "amount: Quantity * UnitPrice  # guess" in made.text
    events = read_events([path], parse_journey_map(made.text)).events.collect()
    price = {"2,55": 2.55, "1.012,75": 1_012.75, "7,65": 7.65}
    assert len(events) == 90
    paid = sum(row["Quantity"] * price[row["UnitPrice"]] for row in lines)
    assert events["amount"].sum() == pytest.approx(paid)
