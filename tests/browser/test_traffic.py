"""A whole visit, every byte of it searched for what must not leave the analyst's side."""

import base64
import re

import polars as pl
import pytest
from serving import Served
from visiting import Visitor, visiting

from cxlib.datasets import sample_paths

NUMBER = re.compile(r"(?<![\d.])\d{7}(?!\d)")
DRAWN_BY_LOT = re.compile(r"[0-9a-f-]{32,}")
"""Names of messages, widgets and sessions, in which any seven digits may come by chance."""
ENCODED = re.compile(r"base64,([A-Za-z0-9+/=]{20,})")


def customers() -> set[str]:
    paths = sample_paths()
    ids = pl.read_csv(paths.customers, infer_schema=False)["customer"]
    contacts = pl.read_csv(paths.contacts, infer_schema=False)["client"].drop_nulls()
    return {one for one in [*ids, *contacts] if NUMBER.fullmatch(one)}


def comments() -> set[str]:
    said = pl.read_csv(sample_paths().ratings, infer_schema=False)["comment"].drop_nulls()
    return {one for one in said.unique() if len(one) >= 12}


def told_of(text: str, ids: set[str], said: set[str]) -> set[str]:
    """What a text tells of single customers, also in what is offered for download."""
    whole = text + "".join(base64.b64decode(found).decode() for found in ENCODED.findall(text))
    numbers = NUMBER.findall(DRAWN_BY_LOT.sub(" ", whole))
    return (ids & set(numbers)) | {one for one in said if one in whole}


def text_of(visitor: Visitor) -> str:
    frames = (frame.decode("utf-8", "replace") for frame in visitor.frames)
    return "\n".join([visitor.page, *frames])


def test_the_search_finds_what_it_is_for() -> None:
    ids, said = customers(), comments()
    assert len(ids) > 10_000
    assert len(said) > 5
    one, comment = next(iter(ids)), next(iter(said))
    hidden = base64.b64encode(f"customer,{one}\n{comment}".encode()).decode()
    assert told_of(f'{{"x": ["{one}"]}}', ids, said) == {one}
    assert told_of(f"<p>{comment}</p>", ids, said) == {comment}
    assert told_of(f"data:text/csv;base64,{hidden}", ids, said) == {one, comment}
    assert told_of("0.00100511 and 12,345 customers", ids, said) == set()
    assert told_of(f'"msg_id": "{one}a-5c1b-4f6e-9d21-0a{one}bcd"', ids, said) == set()


@pytest.mark.parametrize("view", ["journey_map", "fragmentation"])
def test_no_customer_and_no_comment_in_any_frame(dashboard_server: Served, view: str) -> None:
    with visiting(dashboard_server.url, view) as visitor:
        choices = list(visitor.choices())
        assert len(choices) > 20
        for model, state in choices:
            visitor.set(model, **state)
        visitor.settle()
        # Entries that came with a choice, such as findings, are chosen too.
        for model, state in list(visitor.choices())[-40:]:
            visitor.set(model, **state)
        visitor.settle()
        text = text_of(visitor)
    # Changes that come faster than they are answered are answered together.
    assert len(text) > 100_000, "the whole visit was recorded"
    assert told_of(text, customers(), comments()) == set()
    for inside in ("Traceback", "site-packages", "cxlib/"):
        assert inside not in text
