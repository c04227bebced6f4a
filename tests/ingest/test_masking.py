"""Personal data in comments: what is found, what is left, and that nothing else is touched."""

import polars as pl
import pytest

from cxlib.ingest.masking import mask_comments, passes_luhn, passes_mod_97


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
        ("jane at example dot com", "jane at example dot com"),  # said in the report
        ("", ""),
    ],
)
def test_each_kind_is_masked_and_nothing_else(text, masked):
    found, _ = mask_comments(pl.Series([text]))
    assert found.to_list() == [masked]


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
