"""Personal data in comments: what is found, what is left, and that nothing else is touched."""

import polars as pl
import pytest

from cxlib.ingest import read_events, read_ratings
from cxlib.ingest.masking import mask_comments, passes_luhn, passes_mod_97
from cxlib.journey_map import parse_journey_map
from cxlib.store import build_workspace


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("mail me at jane.doe+x@example.co.uk, thanks", "mail me at [mail], thanks"),
        ("jürgen@bücher.example", "[mail]"),
        ("call 0171 2345678 please", "call [phone] please"),
        ("0049 171 2345678", "[phone]"),
        ("my card 4111 1111 1111 1111 was charged", "my card [card] was charged"),
        ("5500-0000-0000-0004", "[card]"),
        ("IBAN DE89 3704 0044 0532 0130 00 refund", "IBAN [iban] refund"),
        ("gb82west12345698765432.", "[iban]."),
        ("order 123456789 never came", "order [number] never came"),
        ("came on 2025-03-31, not 31.03.2025", "came on 2025-03-31, not 31.03.2025"),
        ("paid 1299 for 2 of 12", "paid 1299 for 2 of 12"),
        ("jane at example dot com", "[mail]"),
        ("anna dot meier at gmail dot com, bitte", "[mail], bitte"),
        ("write to anna (at) web.de.", "write to [mail]."),
        ("anna [at] web [punkt] de", "[mail]"),
        ("anna.meier(at)uni-bonn(dot)de and bob{at}gmx{dot}ch", "[mail] and [mail]"),
        ("j_doe at mail dot example dot org please", "[mail] please"),
        ("anna underscore meier at t-online.de", "[mail]"),
        ("anna at gmail.com", "[mail]"),
        ("anna @ web . de", "[mail]"),
        ("anna ät firma punkt de", "[mail]"),
        ("ana arroba correo punto es", "[mail]"),
        ("luc arobase free point fr", "[mail]"),
        ("anna&#64;web.de, anna%40web.de", "[mail], [mail]"),
        ("anna-at-web-dot-de", "[mail]"),
        ("", ""),
    ],
)
def test_each_kind_is_masked_and_nothing_else(text, masked):
    found, _ = mask_comments(pl.Series([text]))
    assert found.to_list() == [masked]


ORDINARY = """\
I bought it at amazon.com last week
Ordered at zalando.de and returned it
You can find it at www.shop.example
We met at noon dot it was great
Meet me at noon, dot on time
Look at this. It is broken
Please look at booking.com for the rooms
It arrived at 5.30 pm
I signed up at example.com
My account at web.de was closed
The parcel is at Mr. Miller's
Call me at home. No hurry
They were at it again... no answer
Support at apple.com answered at once
The price at ikea.com was 20.50 euros
Shoes (size 40) at a discount. Nice
Two items @ 3.50 each
At 10 at night. Really?
Room 12 at hotel.de was clean
Bought 2 at lidl.de
It's at amazon.co.uk too
The check-in at airline.com failed
Where are you at? Dot the i
I looked at dot and point and nothing came
Point 3 at the end of the list
At first. Then not at all
Good at what you do. Thanks
Nobody at the desk. At all
I was at the store at 9.am sharp
Everything at one place. Perfect
We stayed at five points hotel
The dot com boom was better at this
The red dot at the top
Ordered online at dot com prices
I work at a school. Please call after 4
Option (a) is fine. Option (b) is not
Um Punkt 12 war niemand da
Punkt 3 der Liste fehlt
Der Punkt ist: es kam nie an
Ich war bei amazon.de schneller
Das Paket kam um 14.30 Uhr an
Bitte bei Herrn Meier. Danke
Bestellt bei otto.de und bezahlt
Siehe www.beispiel.de unter Hilfe
Der Service at home war gut. Danke
Alles gut. Punkt. Ende
Ich rief an. Keiner da
Der Chat (at night) war leer. Leider
Minus Punkte gibt es keine
Die App stürzt ab (Version 2.1). Schade
""".splitlines()


@pytest.mark.parametrize("sentence", ORDINARY)
def test_ordinary_sentences_stay_as_they_are(sentence):
    found, counts = mask_comments(pl.Series([sentence]))
    assert (found.to_list(), counts) == ([sentence], {})


def test_what_is_spelled_out_is_counted_with_the_mail_addresses():
    said = pl.Series(["anna (at) web.de", "anna (at) web.de, or bob at gmail dot com", "noon dot"])
    assert mask_comments(said)[1] == {"mail": 3}


def test_every_comment_counts_as_often_as_it_was_given():
    said = pl.Series("comment", ["a@b.example", None, "a@b.example", "fine"])
    found, counts = mask_comments(said)
    assert found.to_list() == ["[mail]", None, "[mail]", "fine"]
    assert counts == {"mail": 2}


def test_without_phonenumbers_a_phone_number_is_a_long_number(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "phonenumbers", None)
    assert mask_comments(pl.Series(["call 0171 2345678"]))[0].to_list() == ["call [number]"]


def test_check_digits_are_those_of_the_standards():
    for digit in range(10):
        assert passes_luhn(f"7992739871{digit}") == (digit == 3)
    assert passes_mod_97("GB82WEST12345698765432")
    assert not passes_mod_97("GB28WEST12345698765432")


ASIDE_MAP = """\
version: 1
name: Aside
columns: {customer: customer, occurred_at: at, touchpoint: step, comment: remark}
rating_scales: [{name: nps, min: 0, max: 10}, {name: csat, min: 1, max: 5}]
ratings: {columns: {customer: who, rated_at: answered, rating: Q1, scale: asked, comment: why}}
journey: {gap: 30d}
stages: [one]
touchpoints: [{name: a, stage: one, channel: web}]
"""
SECRET = ("jane@example.com", "171 2345678")


def test_what_is_set_aside_is_masked_like_what_is_kept(tmp_path):
    """A bad time, a row of too many cells, an answer off its scale, each with mail and phone."""
    remark = "write to jane@example.com or +49 171 2345678"
    log = tmp_path / "log.csv"
    good = "".join(f"c{i},2025-01-0{i} 10:00,a,fine\n" for i in range(1, 9))
    bad = f"c1,not a time,a,{remark}\nc1,2025-01-02 10:00,a,{remark},too,many\n"
    log.write_text("customer,at,step,remark\n" + good + bad)
    survey = tmp_path / "survey.csv"
    given = "".join(f"c{i},2025-01-09 10:00,9,nps,fine\n" for i in range(1, 9))
    survey.write_text("who,answered,Q1,asked,why\n" + given + f"c1,2025-01-09,0,csat,{remark}\n")
    journey_map = parse_journey_map(ASIDE_MAP)
    aside = pl.concat(
        [
            read_events([log], journey_map=journey_map).quarantine,
            read_ratings(survey, journey_map=journey_map).quarantine,
        ]
    )
    assert len(aside) == 3
    for raw in aside["raw"]:
        assert not any(secret in raw for secret in SECRET)
        assert "[mail]" in raw
        assert "[phone]" in raw


SURVEY = """\
StartDate,who,answered,Q1,asked,why
Start Date,Customer,Answered,How likely are you to recommend us?,Scale,Why?
"{""ImportId"":""s""}","{""ImportId"":""c""}","{""ImportId"":""r""}","{""ImportId"":""Q1""}",{},{}
x,c1,2025-01-03 10:00,9,nps,
x,c2,2025-01-01 10:00,7,nps,too early
x,c3,2025-01-05 10:00,0,csat,not applicable
x,c4,2025-01-06 10:00,4,csat,
x,c5,2025-01-06 10:00,11,nps,
x,nobody,2025-01-06 10:00,8,nps,
x,c6,2025-01-07 10:00,,nps,no answer
"""


def test_an_export_with_three_heads_and_two_scales_is_cleaned_with_the_reason(tmp_path):
    (tmp_path / "survey.csv").write_text(SURVEY)
    rows = "".join(f"c{i},2025-01-0{i} 10:00,a,\n" for i in range(1, 8))
    (tmp_path / "log.csv").write_text("customer,at,step,remark\n" + rows)
    journey_map = parse_journey_map(ASIDE_MAP)
    said = read_ratings(tmp_path / "survey.csv", journey_map=journey_map)
    assert dict(said.quarantine["reason"].value_counts().rows()) == {
        "a further line of the header": 2,
        "rating is outside 1 to 5 of csat": 1,
        "rating is outside 0 to 10 of nps": 1,
    }
    read = read_events([tmp_path / "log.csv"], journey_map=journey_map)
    workspace = build_workspace(read, tmp_path / "ws", ratings=said)
    attached = workspace.ratings().collect()
    told = attached.filter("is_counted").select("scale", "rating").sort("scale")
    assert told.rows() == [("csat", 4.0), ("nps", 9.0)]  # c2 answered before the first contact
