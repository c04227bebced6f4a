"""What customers write: masked, scored, told apart by topic; no rare word and no comment shown."""

import json
import re
from datetime import timedelta
from random import Random

import polars as pl
import pytest
from comment_log import TOPICS, comment_log
from journey_oracle import START, journey_map, make_workspace
from typer.testing import CliRunner

import cxlib as cx
from cxlib.cli.app import app
from cxlib.errors import InputError, NotMeasurableError
from cxlib.measures.comments import measure_comments
from cxlib.publish import publish

SECRET = "zanzibar"  # a word of nine customers
PRIVATE = ["jane.doe@example.com", "+49 171 2345678", "DE89 3704 0044 0532 0130 00"]


def build(folder, log, truth):
    """A workspace whose answers carry the comments, as a survey does."""
    survey = pl.DataFrame(
        [
            {
                "customer": row.customer,
                "rated_at": row.at,
                "rating": row.rating,
                "touchpoint": row.touchpoint,
                "comment": truth[row.customer][3],
            }
            for row in log
        ]
    ).with_columns(pl.col("rated_at").cast(pl.Datetime("us", "UTC")), scale=pl.lit("nps"))
    bare = [type(row)(**{**row.__dict__, "rating": None}) for row in log]
    return make_workspace(folder, bare, rule=journey_map(), ratings=survey)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    extra = [f"{SECRET} {PRIVATE[i % 3]}" for i in range(9)]
    log, truth = comment_log(900, extra=extra)
    workspace = build(tmp_path_factory.mktemp("comments") / "ws", log, truth)
    return workspace, truth, measure_comments(workspace)


def test_topics_are_those_that_were_written_about(written):
    _, truth, found = written
    rows = found.table.filter(pl.col("group") == "everywhere", pl.col("topic") != "any")
    for language, topics in TOPICS.items():
        named = [r["topic"].split(", ") for r in rows.to_dicts() if r["language"] == language]
        assert len(named) >= 2
        for words in named:
            homes = {t for t, own in topics.items() for w in words if w in own.split()}
            assert len(homes) == 1, words
    # at support most are about delivery
    for row in found.table.filter(pl.col("group").str.starts_with("support")).to_dicts():
        if "parcel" in row["topic"] or "courier" in row["topic"]:
            mine = [t for t in truth.values() if t[0] == "en"]
            assert mine
            assert row["share_low"] <= 0.7 + 0.3 / 3 <= row["share_high"]


def test_sentiment_is_learned_out_of_fold_and_its_accuracy_is_said(written):
    _, _, found = written
    assert "learned from 900 own pairs" in found.notes[0]
    accuracy = found.languages["accuracy"].to_list()
    assert min(accuracy) > 0.9  # moods are written with words of their own
    assert found.languages["language"].to_list() == ["en", "de"]
    whole = found.table.filter(pl.col("topic") == "any", pl.col("group") == "everywhere")
    assert whole["n"][0] == 900


def test_noise_is_not_scored_well(tmp_path):
    log, truth = comment_log(520, seed=3)
    dice = Random(5)
    log = [type(r)(**{**r.__dict__, "rating": dice.choice([1.0, 10.0])}) for r in log]
    found = measure_comments(build(tmp_path / "ws", log, truth))
    row = found.languages.row(0, named=True)
    assert row["accuracy_low"] < 0.55  # what the words say nothing about cannot be told from them


def test_few_comments_are_scored_by_the_lexicon_in_english_only(tmp_path):
    log, truth = comment_log(200, seed=2)
    found = measure_comments(build(tmp_path / "ws", log, truth))
    assert "that of a lexicon, of English only" in found.notes[0]
    scored = dict(found.languages.select("language", "scored").rows())
    assert scored["de"] == 0
    assert scored["en"] > 0.8
    assert found.languages.filter(pl.col("language") == "en")["accuracy"][0] > 0.8


def test_no_rare_word_no_personal_data_and_no_comment_is_shown(written):
    workspace, truth, found = written
    kept = workspace.ratings().collect()["comment"].to_list()
    assert sum(SECRET in c for c in kept) == 9  # in the workspace it stands
    assert not [p for p in PRIVATE for c in kept if p in c]
    assert sum("[mail]" in c for c in kept) == 3
    assert sum("[phone]" in c for c in kept) == 3
    assert sum("[iban]" in c for c in kept) == 3
    masked = workspace.report["masked"]
    assert masked == {"mail": 3, "iban": 3, "phone": 3}
    run = CliRunner().invoke(app, ["comments", str(workspace.path), "--json"])
    assert run.exit_code == 0, run.output
    assert {"touchpoint", "topic", "language", "n", "share_low"} <= json.loads(run.output)[0].keys()
    shown = CliRunner().invoke(app, ["comments", str(workspace.path)]).output
    everything = f"{run.output}{shown}{found.table}{found.sentences()}{cx.explain(found)}"
    everything += found._repr_html_() + str(found.languages)
    assert SECRET not in everything.lower()
    for _, _, _, text in truth.values():
        assert text not in everything
    assert "mail" not in {w for t in found.table["topic"] for w in t.split(", ")}
    assert found.table["customers"].min() >= 10


@pytest.mark.parametrize(
    "asked",
    [
        "comments --by segment",
        "comments --segment plan=basic",
        "perception",
        "perception --curve",
        "perception --spectrum",
        "drivers",
        "loyalty",
        "preferences",
        "priorities",
    ],
)
def test_no_command_prints_a_rare_word_or_a_comment(written, asked):
    """Not to the analyst either, in tables, in sentences or as JSON, of all or of a part."""
    workspace, truth, _ = written
    command, *options = asked.split()
    for form in ([], ["--json"]):
        run = CliRunner().invoke(app, [command, str(workspace.path), *options, *form])
        said = f"{run.output}{run.stderr}".lower()
        assert len(said) > 40  # a table, or a sentence that says why there is none
        assert [w for w in (SECRET, *PRIVATE) if w.lower() in said] == []
        assert [text for *_, text in truth.values() if text.lower() in said] == []


def test_no_name_and_no_rare_word_is_in_anything_published(tmp_path):
    names = ["Frau Zwackelmann", "Mr. Hotzenplotz", "Herr Dr. Seppel"]
    secrets = ["max.muster@firma.de", "(030) 123 45 67", "0171/2345678", "de89370400440532013000"]
    extra = [f"{names[i % 3]} {secrets[i % 4]}" + " nachtschatten" * (i < 9) for i in range(60)]
    log, truth = comment_log(600, extra=extra)
    shop = build(tmp_path / "ws", log, truth)
    snapshot = publish(shop, answers=["comments"])
    told = str(measure_comments(shop).to_dicts())
    for file in snapshot.folder.rglob("*"):
        if file.suffix == ".parquet":
            told += str(pl.read_parquet(file).to_dicts())
        elif file.is_file():
            told += file.read_bytes().decode(errors="ignore")
    written_about = {w for own in TOPICS.values() for words in own.values() for w in words.split()}
    assert any(f"{word}, " in told for word in written_about)  # topics are there
    private = ["Zwackelmann", "Hotzenplotz", "Seppel", "nachtschatten", "muster", "firma"]
    private += ["123 45 67", "2345678", "3704"]
    assert [word for word in private if word.lower() in told.lower()] == []
    assert [text for *_, text in truth.values() if text in told] == []


def test_no_secret_is_in_two_publications_a_day_apart_nor_in_the_pages_made_of_them(tmp_path):
    """Somebody who compares them learns no word that fewer than ten customers wrote."""
    secrets = ["Zwackelmann", "zanzibarisch", "Grünspechtweg", "AX99417", "krankschreibung"]
    secrets += ["bankruptcy", "Xanthippe", "ORD-2025-77413", "naïveté-plötz"]
    forms = ("{0}", "({1})", "{0}!! {0}", "Frau {0}", "{0}s", "{0}")
    extra = [
        forms[i // len(secrets) % len(forms)].format(word, word.upper())
        for i in range(81)
        for word in [secrets[i % len(secrets)]]
    ]
    extra[0] += " einhornzüchter" * 500  # one customer says it often
    log, truth = comment_log(500, extra=extra)
    last = max(row.at for row in log)
    asked = ["perception", "experience_curve", "spectrum", "drivers", "comments"]
    told = []
    for name, days in (("before", 1), ("after", 0)):
        rows = [row for row in log if row.at <= last - timedelta(days=days)]
        shop = build(tmp_path / name, rows, truth)
        snapshot = publish(shop, answers=asked)
        cx.export(shop, tmp_path / name / "pages", views=["perception"])
        parquet = [*snapshot.folder.rglob("*.parquet")]
        pages = [f for f in snapshot.folder.rglob("*") if f.is_file() and f not in parquet]
        pages += (tmp_path / name / "pages").rglob("*.html")
        text = "".join(str(pl.read_parquet(file).to_dicts()) for file in parquet)
        found = f"{text}{''.join(f.read_text('utf-8', errors='ignore') for f in pages)}".lower()
        about = " ".join(words for own in TOPICS.values() for words in own.values()).split()
        assert any(f"{word}, " in text for word in about)  # topics are there
        for word in [*secrets, "einhornzüchter"]:
            escaped = word.lower().encode("unicode_escape").decode()
            assert word.lower() not in found, (name, word)
            assert escaped not in found, (name, word)
        told.append(set(re.findall(r"[^\W\d_]{3,}", text.lower())))
    users = {}
    for row in log:
        for word in re.findall(r"[^\W\d_]{3,}", truth[row.customer][3].lower()):
            users.setdefault(word, set()).add(row.customer)
    rare = {word for word, who in users.items() if len(who) < 10}
    assert len(rare) > 10
    assert not rare & (told[0] | told[1])


def test_what_is_missing_is_said(tmp_path, written, monkeypatch):
    log, _ = comment_log(30)
    silent = make_workspace(tmp_path / "ws", log, rule=journey_map())
    with pytest.raises(NotMeasurableError, match="there are no comments"):
        measure_comments(silent)
    with pytest.raises(InputError, match="at least 2"):
        measure_comments(written[0], k=1)
    monkeypatch.setitem(__import__("sys").modules, "py3langid.langid", None)
    with pytest.raises(InputError, match="need the package py3langid"):
        measure_comments(written[0])


def test_thirty_comments_are_answered_shortly(tmp_path):
    log, truth = comment_log(30, seed=4)
    found = measure_comments(build(tmp_path / "ws", log, truth))
    assert len(found.table) <= 4
    assert any("no topic" in s for s in found.sentences())
    assert found.observed_until > START
