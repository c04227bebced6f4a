"""Addresses that lead from one view into another, with what is to be open there."""

from urllib.parse import parse_qs, urlsplit

import figure_findings as results
import polars as pl

from cxlib.fragmentation.findings import ROW
from cxlib.views.fragmentation.view import Fragmentation
from cxlib.views.shared.links import below_home, beside, link_to_finding


class Answers:
    segments = ()
    manifest = {"name": "Demo", "k": 10}  # noqa: RUF012

    def findings(self, *, segment=None):
        return results.details()


def band(**given):
    return dict.fromkeys(ROW) | {"unit": "transition"} | given


def test_a_finding_with_details_is_opened_by_its_link():
    details = results.details()
    for found in details.found.to_dicts():
        link = link_to_finding(details, found | {"ground": "like"}, below_home)
        assert urlsplit(link).path == "view/fragmentation"
        view = Fragmentation(Answers())
        view.link.widget.asked = urlsplit(link).query
        assert not view.message.value
        assert (view.opened_row["source"], view.opened_row["signal"]) == (
            found["source"],
            found["signal"],
        )


def test_a_finding_without_details_leads_to_its_touchpoint():
    details = results.details()
    row = band(source_place=2, target_place=3, signal="abandonment", ground="past")
    link = link_to_finding(details, row, beside)
    assert urlsplit(link).path == "journey_map"
    assert parse_qs(urlsplit(link).query) == {"touchpoint": ["web basket, web, conversion"]}
    assert not link_to_finding(details, band(source_place=99, ground="past"), beside)


def test_every_finding_stands_on_the_page_of_what_breaks_once():
    details = results.details()
    past = {"source": "till", "sentence": "till loses 90 customers more than before"}
    schema = details.bands.schema
    rows = [band(source_place=3, ground="past", signal="abandonment", **past)]
    bands = pl.DataFrame([{n: r.get(n) for n in schema} for r in rows], schema=schema)
    answers = Answers()
    answers.findings = lambda *, segment=None: results.details(bands=bands)
    view = Fragmentation(answers)
    assert "Till loses 90 customers more than before" in view.others.value
    assert "href" not in view.others.value, "in a notebook there is no page to go to"
    assert len(view.ranked.items) == details.found.height
