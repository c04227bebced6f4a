"""Exports in the shapes that tools write, with the right answer: `cx init` reads them unedited.

Customers c0 … c11 go through five steps; each case writes these contacts as another kind of tool.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from tool_exports import STEPS, Files, by_customer, contacts, lines, proposed, second, text

from cxlib.errors import InputError
from cxlib.ingest import read_events, read_ratings, tables_beside
from cxlib.journey_map import parse_journey_map

CASES: dict[str, tuple[Callable[[], Files], dict[str, object], int]] = {}
"""By kind: the files, the columns that are right, and the contacts in them."""


def case(
    right: dict[str, object], kept: int | None = None
) -> Callable[[Callable[[], Files]], None]:
    def add(make: Callable[[], Files]) -> None:
        CASES[make.__name__] = (make, right, len(contacts()) if kept is None else kept)

    return add


@case({"customer": "column 1", "touchpoint": "column 4", "occurred_at": "column 5"})
def a_table_without_a_header() -> Files:
    return {
        "behaviour.csv": text(
            [
                100 + c.customer,
                c.dice.randint(10**5, 10**6),
                c.dice.randint(10**5, 10**6),
                c.what,
                int(c.at.timestamp()),
            ]
            for c in contacts()
        )
    }


@case(
    {
        "customer": "Client Id",
        "touchpoint": "Page",
        "channel": "Channel Grouping",
        "occurred_at": "Date Hour and Minute",
        "time_of_day": None,
    }
)
def comments_above_and_a_second_table_below() -> Files:
    head = "# ----\n# All Web Site Data\n# 20240301-20240331\n# ----\n\n"
    names = [
        "Client Id",
        "Date Hour and Minute",
        "Page",
        "Channel Grouping",
        "Pageviews",
        "Avg. Time on Page",
    ]
    rows = [
        [
            f"{10000 + c.customer}.17",
            f"{c.at:%Y%m%d%H%M}",
            f"/{c.what}",
            c.dice.choice(["Direct", "Organic"]),
            1,
            f"00:00:{c.dice.randint(10, 59)}",
        ]
        for c in contacts()
    ]
    tail = ",,,,60,00:00:31\n\nDay Index,Pageviews\n01/03/2024,12\n02/03/2024,15\n,27\n"
    return {"report.csv": head + text([names, *rows]) + tail}


@case(
    {
        "customer": "visitorId",
        "touchpoint": "pageTitle",
        "occurred_at": "timestamp",
        "records": "actionDetails",
    }
)
def contacts_in_a_list_of_each_visit() -> Files:
    visits = [
        {
            "idVisit": str(900 + i),
            "visitorId": f"{i:016x}",
            "serverTimestamp": int(cs[0].at.timestamp()),
            "actionDetails": [
                {"type": "action", "pageTitle": c.what, "timestamp": int(c.at.timestamp())}
                for c in cs
            ],
        }
        for i, cs in by_customer().items()
    ]
    return {"visits.json": json.dumps(visits)}


@case(
    {
        "customer": "key",
        "touchpoint": "to",
        "occurred_at": "created",
        "records": "changelog.histories",
    }
)
def a_list_within_a_list_of_one_document() -> Files:
    issues = [
        {
            "key": f"SUP-{i}",
            "changelog": {
                "total": len(cs),
                "histories": [
                    {"id": str(i * 100 + k), "created": c.at.isoformat(), "to": c.what}
                    for k, c in enumerate(cs)
                ],
            },
        }
        for i, cs in by_customer().items()
    ]
    return {"issues.json": json.dumps({"startAt": 0, "total": 12, "issues": issues})}


@case({"customer": "visitorId", "touchpoint": "url (action #)", "occurred_at": "time (action #)"})
def numbered_contacts_side_by_side() -> Files:
    most = max(map(len, by_customer().values()))
    head = ["idVisit", "visitorId"] + [
        f"{n} (action {k})" for k in range(most) for n in ("type", "url", "time")
    ]
    rows = [
        [str(900 + i), f"{i:016x}"]
        + [cell for c in cs for cell in ("action", f"/{c.what}", int(c.at.timestamp()))]
        for i, cs in by_customer().items()
    ]
    return {"wide.csv": text([head, *(row + [""] * (len(head) - len(row)) for row in rows)])}


@case({"customer": "device_id", "touchpoint": "event_type", "occurred_at": "event_time"})
def an_id_that_many_rows_lack() -> Files:
    return {
        "app.json": lines(
            {
                "user_id": f"u{c.customer}" if c.customer % 3 else None,
                "device_id": f"d-{c.customer}",
                "event_id": k,
                "event_type": c.what,
                "event_time": second(c.at),
                "session_id": int(c.at.timestamp()) // 10**4,
            }
            for k, c in enumerate(contacts())
        )
    }


@case({"customer": "anonymousId", "touchpoint": ("event", "name"), "occurred_at": "timestamp"})
def names_in_one_of_two_columns() -> Files:
    return {
        "track.json": lines(
            {
                "anonymousId": f"a{c.customer}",
                "userId": f"u{c.customer}" if c.customer % 2 else None,
                **(
                    {"type": "page", "name": c.what}
                    if c.what == STEPS[0]
                    else {"type": "track", "event": c.what}
                ),
                "timestamp": c.at.isoformat(),
                "messageId": f"m{k}",
            }
            for k, c in enumerate(contacts())
        )
    }


@case(
    {
        "customer": "caller_id",
        "touchpoint": "incident_state",
        "occurred_at": "sys_updated_at",
        "unpivot": None,
    }
)
def changes_of_a_case_whose_facts_are_repeated() -> Files:
    times = {i: (cs[0].at, cs[-1].at) for i, cs in by_customer().items()}
    names = [
        "number",
        "incident_state",
        "caller_id",
        "opened_at",
        "sys_updated_at",
        "resolved_at",
        "closed_at",
    ]
    rows = [
        [
            f"INC{c.customer:07}",
            c.what,
            f"Caller {c.customer % 7}",
            second(times[c.customer][0]),
            second(c.at),
            second(times[c.customer][1]),
            second(times[c.customer][1] + timedelta(days=5)),
        ]
        for c in contacts()
    ]
    return {"incidents.csv": text([names, *rows])}


@case({"customer": "CaseId", "touchpoint": "NewValue", "occurred_at": "CreatedDate"})
def old_and_new_values() -> Files:
    before: dict[int, str] = {}
    rows = []
    for c in contacts():
        rows.append(
            [
                f"5{c.customer:08}",
                f"{c.at:%Y-%m-%dT%H:%M:%S}.000+0000",
                "Status",
                before.get(c.customer, ""),
                c.what,
            ]
        )
        before[c.customer] = c.what
    return {
        "history.csv": text([["CaseId", "CreatedDate", "Field", "OldValue", "NewValue"], *rows])
    }


@case(
    {
        "customer": "ANI",
        "touchpoint": "QueueName",
        "channel": "MediaType",
        "occurred_at": "Start",
        "unpivot": None,
    }
)
def phases_of_a_call_are_no_steps() -> Files:
    names = [
        "ContactId",
        "Start",
        "Enqueued",
        "Answered",
        "Disconnected",
        "MediaType",
        "ANI",
        "QueueName",
    ]
    rows = [
        [
            f"{k:09x}",
            *(second(c.at + timedelta(seconds=s)) for s in (0, 20, 59, 400)),
            c.dice.choice(["voice", "chat"]),
            f"+4930{c.customer:04}",
            c.what,
        ]
        for k, c in enumerate(contacts())
    ]
    return {"calls.csv": text([names, *rows])}


@case({"customer": "Email Address", "touchpoint": "(file)", "occurred_at": "Timestamp"}, 62)
def a_file_for_each_kind_of_contact() -> Files:
    of: dict[str, list[list[object]]] = {}
    for c in contacts(("sent", "opens", "clicks")):
        of.setdefault(c.what, []).append([f"p{c.customer}@x.example", "P", second(c.at)])
    return {
        f"{n}.csv": text([["Email Address", "First Name", "Timestamp"], *rows])
        for n, rows in of.items()
    }


@case(
    {"customer": "OBJECTID", "touchpoint": "TCODE", "occurred_at": "UDATE", "time_of_day": "UTIME"}
)
def dates_and_clocks_of_digits_alone() -> Files:
    names = ["MANDT", "OBJECTID", "CHANGENR", "USERNAME", "UDATE", "UTIME", "TCODE"]
    rows = [
        [
            "100",
            f"45{c.customer:08}",
            f"{k:010}",
            "MEIER",
            f"{c.at:%Y%m%d}",
            f"{c.at:%H%M%S}",
            c.what,
        ]
        for k, c in enumerate(contacts())
    ]
    return {"changes.txt": text([names, *rows], "|")}


@case(
    {
        "customer": "Kundenkarte",
        "one_per": ("Bon-Nr",),
        "occurred_at": "Datum",
        "time_of_day": "Uhrzeit",
    },
    40,
)
def lines_of_german_baskets() -> Files:
    dice = Random(3)
    rows: list[list[object]] = [
        ["Filiale", "Bon-Nr", "Datum", "Uhrzeit", "Kundenkarte", "Artikel", "Menge", "Betrag"]
    ]
    for basket in range(40):
        at = datetime(2024, 3, 5, 10, tzinfo=UTC) + timedelta(hours=basket * 6)
        card = f"2100{dice.randrange(12):04}"
        for item in dice.sample(["Brötchen", "Käse", "Öl"], dice.randint(1, 3)):
            rows.append(
                ["Köln", 7000 + basket, f"{at:%d.%m.%Y}", f"{at:%H:%M}", card, item, 1, "1,99"]
            )
    return {"till.csv": text(rows, ";").encode("cp1252")}


@case({"customer": "(key)", "touchpoint": "action", "occurred_at": "timestamp"})
def lists_by_the_id_of_the_customer() -> Files:
    found = {
        f"p{i}@x.example": [{"action": c.what, "timestamp": second(c.at)} for c in cs]
        for i, cs in by_customer().items()
    }
    return {"activity.json": json.dumps(found)}


@case({"customer": "user", "touchpoint": "step", "occurred_at": "at"})
def columns_of_one_width_under_a_rule_of_dashes() -> Files:
    rows = [f"{'user':<8}{'at':<21}{'step':<14}{'amount':>10}"]
    rows += ["------- -------------------- ------------- ----------"]
    rows += [
        f"{f'c{c.customer}':<8}{second(c.at):<21}{c.what:<14}{c.dice.random() * 99:>10.2f}"
        for c in contacts()
    ]
    return {"spool.txt": "\n".join(rows)}


@case({"customer": "user", "touchpoint": "step", "occurred_at": "at"})
def columns_of_one_width_under_their_names() -> Files:
    rows = [f"{'user':<8}{'at':<21}{'step':<14}{'shop'}"]
    rows += [f"{f'c{c.customer}':<8}{second(c.at):<21}{c.what:<14}{'north'}" for c in contacts()]
    return {"print.txt": "\n".join(rows)}


@case({"customer": "Patient", "touchpoint": "type", "occurred_at": "time"})
def events_of_objects() -> Files:
    kinds = {"Patient": 12, "Room": 3, "Doctor": 4}
    objects = [
        {"id": f"{kind[0].lower()}{i}", "type": kind, "relationships": []}
        for kind, n in kinds.items()
        for i in range(n)
    ]
    orders = [
        {"id": f"o{i}", "type": "Case", "relationships": [{"objectId": f"p{i}"}]} for i in range(12)
    ]
    events = [
        {
            "id": f"e{k}",
            "type": c.what,
            "time": f"{c.at:%Y-%m-%dT%H:%M:%SZ}",
            # only through its case is an event a patient's
            "relationships": [{"objectId": f"o{c.customer}"}, {"objectId": f"r{k % 3}"}],
        }
        for k, c in enumerate(contacts())
    ]
    log = {"objectTypes": [], "eventTypes": [], "objects": [*objects, *orders], "events": events}
    return {"log.jsonocel": json.dumps(log)}


@case({"customer": ("user_id", "visitor_id"), "touchpoint": "event", "occurred_at": "timestamp"})
def visitors_who_log_in_later_on_two_devices() -> Files:
    seen: dict[int, int] = {}
    rows: list[list[object]] = [["timestamp", "visitor_id", "user_id", "event"]]
    for c in contacts():
        seen[c.customer] = seen.get(c.customer, 0) + 1
        device = f"v{c.customer}-{seen[c.customer] % 2}"
        rows.append(
            [second(c.at), device, f"u{c.customer}" if seen[c.customer] > 1 else "", c.what]
        )
    return {"track.csv": text(rows)}


@case({"customer": "Email", "one_per": ("Order",), "occurred_at": "Created at"}, 30)
def lines_of_orders_with_later_times() -> Files:
    names = ["Order", "Email", "Created at", "Paid at", "Sent at", "Lineitem name"]
    dice, rows = Random(5), []
    for order in range(30):
        at = datetime(2024, 3, 5, 10, tzinfo=UTC) + timedelta(hours=order * 9)
        later = [second(at + timedelta(hours=h)) if dice.random() < 0.9 else "" for h in (1, 30)]
        for line, item in enumerate(dice.sample(["vase", "cup", "plate"], dice.randint(1, 3))):
            times = [second(at), *(later if line == 0 else ["", ""])]
            rows.append([f"#{order}", f"c{order % 12}@x", *times, item])
    return {"orders.csv": text([names, *rows])}


@case({"customer": "people.list.0.id", "touchpoint": "about.Conversation topic", "records": None})
def conversations_with_parts_inside() -> Files:
    return {
        "page.json": json.dumps(
            {
                "conversations": [
                    {
                        "id": str(k),
                        "created_at": int(c.at.timestamp()),
                        "people": {"type": "list", "list": [{"id": f"contact{c.customer}"}]},
                        "about": {"Conversation topic": c.what},
                        "parts": [
                            {"part_type": "comment", "created_at": int(c.at.timestamp()) + s}
                            for s in (60, 600)
                        ],
                    }
                    for k, c in enumerate(contacts())
                ]
            }
        )
    }


@case({"customer": "requester_id", "touchpoint": "changes.0.value", "occurred_at": "created_at"})
def a_change_in_a_list_of_one() -> Files:
    before: dict[int, str] = {}
    rows = []
    for k, c in enumerate(contacts()):
        change = {"field": "state", "value": c.what, "previous_value": before.get(c.customer)}
        before[c.customer] = c.what
        rows.append(
            {
                "id": 900 + k,
                "requester_id": 70 + c.customer,
                "created_at": f"{c.at:%Y-%m-%dT%H:%M:%SZ}",
                "via": c.dice.choice(["web", "email"]),
                "changes": [change],
            }
        )
    return {"audits.jsonl": lines(rows)}


@case({"customer": "customer_id", "touchpoint": "event_name", "unpivot": None})
def numbered_times_beside_a_name() -> Files:
    names = ["customer_id", "event_name", "event_time", "loaded_at_1", "loaded_at_2", "tag_1"]
    rows = [
        [f"c{c.customer}", c.what, *[second(c.at + timedelta(minutes=m)) for m in (0, 9, 70)], "x"]
        for c in contacts()
    ]
    return {"wide.csv": text([[*names, "tag_2"], *[[*row, "y"] for row in rows]])}


@pytest.mark.parametrize("kind", CASES)
def test_what_a_tool_exports_is_read_right(kind: str, tmp_path: Path) -> None:
    make, right, kept = CASES[kind]
    paths, found = proposed(tmp_path, make())
    told = {role: getattr(found, role, None) for role in ("one_per", "unpivot")}
    told["records"] = found.reading.records
    for role, column in right.items():
        names = found.names_of(role)
        assert (
            told[role] if role in told else names if len(names) > 1 else next(iter(names), None)
        ) == column
    report = read_events(paths, found).report
    assert report.contacts == kept
    assert report.contacts + sum(report.set_aside.values()) == report.rows_in


@pytest.mark.parametrize(
    ("names", "more", "who", "mark"),
    [
        (
            ["StartDate", "ResponseId", "ExternalReference", "Progress", "Q1", "Q2"],
            [
                [
                    "Start Date",
                    "Response ID",
                    "External Data Reference",
                    "Progress",
                    "How likely?",
                    "Why?",
                ],
                ['{"ImportId":"x"}'] * 6,
            ],
            "ExternalReference",
            "Q1",
        ),
        (
            [
                "Start Date",
                "Respondent ID",
                "Custom Data",
                "Collector",
                "How likely is it?",
                "Why?",
            ],
            [["", "", "", "", "Response", "Open-Ended Response"]],
            "Custom Data",
            "How likely is it?",
        ),
    ],
)
def test_surveys_with_headers_of_several_lines(
    tmp_path: Path, names: list[str], more: list[list[str]], who: str, mark: str
) -> None:
    log = text(
        [
            ["customer_id", "event_time", "event"],
            *([f"c{c.customer}", second(c.at), c.what] for c in contacts()),
        ]
    )
    answers = [
        [f"2024-03-2{i % 10} 10:00:00", f"9{i:07}", f"c{i}", 100, i % 11, "fine"] for i in range(12)
    ]
    paths, found = proposed(
        tmp_path, {"log.csv": log, "survey.csv": text([names, *more, *answers])}
    )
    assert (found.ratings.columns["customer"], found.ratings.columns["rating"]) == (who, mark)
    read = read_ratings(tables_beside(paths, found)["ratings"], found, beside=paths)
    assert read.rows.height == 12
    assert read.quarantine["reason"].to_list() == ["a further line of the header"] * len(more)


def test_an_object_without_the_list_is_set_aside_and_counted(tmp_path: Path) -> None:
    files = CASES["contacts_in_a_list_of_each_visit"][0]()
    visits = [*json.loads(str(files["visits.json"])), {"visitorId": "x", "actionDetails": []}]
    paths, found = proposed(tmp_path, {"visits.json": json.dumps(visits)})
    report = read_events(paths, found).report
    assert report.contacts == report.rows_in - 1 == len(contacts())
    assert report.set_aside == {"time is empty": 1}


def test_reviews_that_nobody_signed_have_no_customer(tmp_path: Path) -> None:
    names = [
        "Package Name",
        "App Version",
        "Reviewer Language",
        "Device",
        "Submitted At",
        "Star Rating",
        "Review Text",
    ]
    rows = [
        [
            "com.x",
            "3.1",
            ["de", "en"][i % 2],
            ["o1s", "beyond1"][i % 2],
            f"2024-03-05T10:00:{i:02}Z",
            1 + i % 5,
            f"Good {i}",
        ]
        for i in range(60)
    ]
    with pytest.raises(InputError, match="no column looks like the customer"):
        proposed(tmp_path, {"reviews.csv": text([names, *rows]).encode("utf-16")})


def test_numbered_contacts_are_said_with_one_mark() -> None:
    from cxlib.errors import MapError

    with pytest.raises(MapError, match="write # once where the number stands"):
        parse_journey_map(
            "version: 1\nname: x\nunpivot: {numbered: touch 1}\ntouchpoints: [{name: a}]\n"
        )


def test_rows_of_ids_that_read_like_none_are_proposed_to_be_set_aside(tmp_path: Path) -> None:
    names = ["customer", "event", "timestamp"]
    rows = [[f"c{c.customer}", c.what, second(c.at)] for c in contacts()]
    rows += [["anonymous", c.what, second(c.at)] for c in contacts()[:20]]
    paths, found = proposed(tmp_path, {"log.csv": text([names, *rows])})
    assert found.not_a_customer == ("anonymous",)
    report = read_events(paths, found).report
    assert report.contacts == len(contacts())
    assert report.set_aside == {"no customer, as the map says": 20}


def test_visitors_are_known_by_the_login_they_come_to_also_by_a_table_of_logins(
    tmp_path: Path,
) -> None:
    names = ["login", "visitor", "event", "timestamp"]
    rows = [["", f"v{c.customer}", c.what, second(c.at)] for c in contacts()]
    (tmp_path / "log.csv").write_text(text([names, *rows]))
    logins = [[f"v{i}", f"u{i // 2}", "free"] for i in range(10)]
    logins += [["v10", "u7", "free"]]
    (tmp_path / "logins.csv").write_text(text([["visitor", "login", "plan"], *logins]))
    asked = parse_journey_map(
        "version: 1\nname: t\njoin: [{table: logins.csv, by: visitor}]\nstages: [s]\n"
        "touchpoints: [{name: purchase, stage: s}]\n"
        "columns: {customer: [login, visitor], touchpoint: event, occurred_at: timestamp}\n"
    )
    people = set(read_events(tmp_path, asked).events.collect()["customer"])
    assert people == {"u0", "u1", "u2", "u3", "u4", "u7", "v11"}


def test_a_device_of_two_people_stays_nobodys(tmp_path: Path) -> None:
    rows = [["u1", "d"], ["u2", "d"], ["", "d"]]
    written = [[*row, "view", f"2024-03-0{k + 1} 10:00"] for k, row in enumerate(rows)]
    (tmp_path / "log.csv").write_text(text([["login", "device", "event", "timestamp"], *written]))
    asked = parse_journey_map(
        "version: 1\nname: t\nstages: [s]\ntouchpoints: [{name: view, stage: s}]\n"
        "columns: {customer: [login, device], touchpoint: event, occurred_at: timestamp}\n"
    )
    found = read_events(tmp_path, asked).events.collect().sort("occurred_at")
    assert found["customer"].to_list() == ["u1", "u2", "d"]


def test_a_path_into_a_list_is_not_the_key_of_the_same_name_outside(tmp_path: Path) -> None:
    paths, found = proposed(tmp_path, CASES["conversations_with_parts_inside"][0]())
    people = set(read_events(paths, found).events.collect()["customer"])
    assert people == {f"contact{i}" for i in range(12)}


def test_people_of_one_last_name_stay_apart(tmp_path: Path) -> None:
    names = ["Recipient Email", "Recipient Last Name", "Touchpoint", "Start Date"]
    last = ["Berg", "Ito", "Roy", "Sax", "Tal"]
    rows = [
        [f"c{c.customer}@x.example", last[c.customer % 5] if k % 9 else "", c.what, second(c.at)]
        for k, c in enumerate(contacts())
    ]
    paths, found = proposed(tmp_path, {"answers.csv": text([names, *rows])})
    assert found.names_of("customer") == ("Recipient Email",)
    assert read_events(paths, found).checked().customers == 12
