"""Perception where there is little of it: honest and short, from a file to the answer."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from typer.testing import CliRunner

import cxlib as cx
from cxlib.cli import app
from cxlib.publish import publish
from cxlib.views.perception.view import Perceived

STEPS = ["ad", "page", "basket", "pay", "call"]
MAP = """\
version: 1
name: Sparse
columns: {customer: who, occurred_at: at, touchpoint: step}
rating_scale: {name: csat, min: 1, max: 5}
journey: {gap: 20d, goal: [pay]}
touchpoints:
  - {name: ad, channel: ads, initiated_by: company}
  - {name: page, channel: web}
  - {name: basket, channel: web}
  - {name: pay, channel: web}
  - {name: call, channel: phone, assisted: true}
"""
COMMANDS = (
    ("perception",),
    ("perception", "--curve"),
    ("perception", "--spectrum"),
    ("perception", "--consistency"),
    ("perception", "--by", "transition"),
    ("comments",),
    ("drivers",),
    ("loyalty",),
    ("preferences",),
)


def build(folder, rated, *, comment=""):
    """200 customers; `rated` contacts, a number or all at one touchpoint, get an answer."""
    dice, contacts = Random(1), []
    for who in range(200):
        at = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=dice.uniform(0, 100))
        for step in STEPS[: dice.randint(1, 5)]:
            contacts.append((f"c{who}", at, step))
            at += timedelta(days=dice.expovariate(0.5))
    if isinstance(rated, int):
        chosen = [(*c, dice.randint(1, 5)) for c in dice.sample(contacts, rated)]
    elif rated == "equal":
        chosen = [(*c, 5) for c in dice.sample(contacts, 150)]
    else:
        chosen = [(*c, dice.randint(1, 5)) for c in contacts if c[2] == rated]
    written = [f"{w},{at:%Y-%m-%dT%H:%M:%SZ},{step}" for w, at, step in contacts]
    (folder / "map.yaml").write_text(MAP)
    (folder / "log.csv").write_text("\n".join(["who,at,step", *written]) + "\n")
    said = [f"{w},{at:%Y-%m-%dT%H:%M:%SZ},{v},{s},{comment}" for w, at, s, v in chosen]
    said = ["customer,rated_at,rating,touchpoint,comment", *said]
    (folder / "said.csv").write_text("\n".join(said) + "\n")
    more = ["--ratings", folder / "said.csv"] if chosen else []
    ws = folder / "ws"
    run("ingest", folder / "log.csv", "--map", folder / "map.yaml", "--out", ws, *more)
    return ws


def run(*arguments, fails=False):
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert "Traceback" not in done.output
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert (done.exit_code == 1) is fails, done.output
    return done.stderr if fails else done.stdout


@pytest.mark.parametrize(
    ("rated", "refused"),
    [
        (0, ("comments", "perception")),
        (1, ("comments",)),
        (30, ("comments",)),
        ("call", ("comments",)),
        ("equal", ("comments",)),
    ],
    ids=str,
)
def test_every_command_answers_or_says_in_a_sentence_why_not(tmp_path, rated, refused):
    ws = build(tmp_path, rated)
    for command, *options in COMMANDS:
        said = run(command, ws, *options, fails=command in refused)
        assert said.count("\n") < (8 if command in refused else 60)
    shop = cx.open(ws)
    if not rated:
        return
    curve, spectrum = cx.measure_experience_curve(shop), cx.measure_spectrum(shop)
    for found in (curve, spectrum):  # no picture without a mark in it
        assert any(len(trace.x) for trace in cx.plot(found).data)
    told = " ".join(curve.sentences() + spectrum.sentences())
    if rated == "call":
        assert "rated at one touchpoint only" in told
        whole = cx.measure_perception(shop)
        assert "All contacts that could be rated on csat were" in whole.sentences()[-1]
        assert whole.table["trusted"].to_list() == [True]  # nobody is silent
    if rated == "equal":
        assert "csat: the same at all 5 touchpoints" in told
        assert "most low ones" not in told
    if rated == 30:
        assert "by chance alone, it may be" in told
    alone = "Nothing to compare" in cx.measure_consistency(shop).sentences()[0]
    assert alone or rated in (30, "equal")


def test_the_perception_dashboard_of_a_log_without_ratings_says_so(tmp_path):
    view = Perceived(publish(cx.open(build(tmp_path, 0))))
    assert "There are no ratings that could be shown" in view.answer.value


def test_two_comments_are_counted_and_no_topic_is_made_of_them(tmp_path):
    shop = build(tmp_path, 2, comment="slow and rude")
    said = " ".join(run("comments", shop).lower().split())
    assert "slow and rude" not in said
    assert "no topic" in said
