"""Colours can be told apart and read; numbers are written the same; nothing global changes."""

from datetime import timedelta
from itertools import pairwise

import plotly.graph_objects as go
import plotly.io as pio
import pytest

from cxlib.figures.canvas import wrap
from cxlib.figures.theme import (
    CONFIG,
    DARK,
    LIGHT,
    PRINT,
    channel_colours,
    colour_at,
    contrast,
    dark_twin,
    dark_twins,
    faded,
    light_dark,
    luminance,
    stage_colours,
    text_on,
)
from cxlib.numbers import duration, people, plural, rating, share

THEMES = {"light": LIGHT, "dark": DARK, "print": PRINT}


@pytest.mark.parametrize("theme", THEMES.values(), ids=list(THEMES))
def test_text_and_findings_are_readable(theme):
    for ground in (theme.paper, theme.band):
        assert contrast(theme.ink, ground) >= 7
        assert contrast(theme.muted, ground) >= 4.5
        assert contrast(theme.finding, ground) >= 4.5
    for colour in (theme.go_on, theme.still_open, theme.lost):
        assert contrast(text_on(colour), colour) >= 4.5


@pytest.mark.parametrize("theme", THEMES.values(), ids=list(THEMES))
def test_scales_can_be_read_without_colour(theme):
    for scale in (theme.scale, theme.loss_scale):
        steps = [luminance(colour_at(scale, i / 20)) for i in range(21)]
        assert steps == sorted(steps, reverse=steps[0] > steps[-1])
        assert abs(steps[0] - steps[-1]) > 0.5
    split = sorted(luminance(c) for c in (theme.go_on, theme.lost, theme.still_open))
    assert min(b - a for a, b in pairwise(split)) > 0.04


@pytest.mark.parametrize("theme", THEMES.values(), ids=list(THEMES))
def test_no_channel_looks_like_a_finding_or_like_another(theme):
    assert len(set(theme.channels)) == len(theme.channels) >= 10
    assert theme.finding not in theme.channels
    for first, second in pairwise(theme.channels):
        assert abs(luminance(first) - luminance(second)) > 0.03


@pytest.mark.parametrize("ramp", ["stages", "scale", "loss_scale"])
def test_every_colour_of_a_ramp_has_its_twin_at_the_same_place_of_the_dark_one(ramp):
    light, dark = getattr(THEMES["light"], ramp), getattr(THEMES["dark"], ramp)
    for i in range(101):
        twin = dark_twin(colour_at(light, i / 100))
        # A step of the light ramp is rounded to whole colours, and some steps are short.
        assert contrast(twin, colour_at(dark, i / 100)) < 1.04


def test_a_light_colour_has_one_twin_only():
    light, dark = THEMES["light"], THEMES["dark"]
    names = ("paper", "band", "ink", "muted", "rule", "flow", "accent", "finding", "go_on", "lost")
    for name in names:
        assert dark_twin(getattr(light, name)) == getattr(dark, name)
    for own, other in zip(light.channels, dark.channels, strict=True):
        assert dark_twin(own) == other


def test_text_on_a_bar_stays_readable_when_the_bar_turns_dark():
    light = THEMES["light"]
    for bar in (light.go_on, light.lost, light.still_open, *light.channels):
        assert contrast(dark_twin(text_on(bar)), dark_twin(bar)) >= 4.4


def test_twins_are_found_in_every_way_a_figure_writes_a_colour():
    light, dark = THEMES["light"], THEMES["dark"]
    text = (
        f"<span style='color:{light.muted}'>a</span> {faded(light.flow, 0.4)} #123456 {light.ink}80"
    )
    assert dark_twins(text) == {light.muted: dark.muted, light.flow: dark.flow}
    assert light_dark(light.ink) == f"light-dark({light.ink}, {dark.ink})"
    assert light_dark("#123456") == "#123456", "a colour of nobody's theme is its own"


def test_colours_belong_to_names_not_to_what_is_shown():
    theme = THEMES["light"]
    everything = channel_colours(["ads", "web", "store"])
    assert everything["web"] == theme.channels[1]
    stages = stage_colours(["awareness", "exploration", "unmapped"])
    assert stages["awareness"] == theme.stages[0]
    assert stages["exploration"] == theme.stages[1]
    assert stages["unmapped"] == theme.still_open


def test_importing_changes_nothing():
    assert pio.templates.default == "plotly"
    assert CONFIG["showSendToCloud"] is False
    assert CONFIG["displaylogo"] is False
    assert "layout" not in go.Figure().to_plotly_json()["layout"]


def plain(text):
    return text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (people(0), "0"),
        (people(1240), "1,240"),
        (people(9999.4), "9,999"),
        (people(31_400), "31 k"),
        (people(999_499), "999 k"),
        (people(1_240_000), "1.2 M"),
        (people(None), "–"),
        (people(float("nan")), "–"),
        (share(0.71, 0.70, 0.72), "71 % (70–72)"),
        (share(0.0), "0 %"),
        (share(1.0, 0.98, 1.0), "100 % (98–100)"),
        (share(0.042, 0.039, 0.046), "4.2 % (3.9–4.6)"),
        (share(0.0001), "<0.1 %"),
        (share(0.512, 0.509, 0.515), "51.2 % (50.9–51.5)"),
        (share(0.5, None, 0.6), "50 %"),
        (share(None), "–"),
        (rating(7.44, 7.2, 7.6), "7.4 (7.2–7.6)"),
        (rating(None), "–"),
        (duration(0), "0 s"),
        (duration(45.2), "45 s"),
        (duration(59.9), "1 min"),
        (duration(timedelta(hours=3, minutes=12)), "3.2 h"),
        (duration(timedelta(days=2)), "2 d"),
        (duration(timedelta(days=30)), "30 d"),
        (duration(None), "–"),
        (plural(1, "customer"), "1 customer"),
        (plural(1240, "customer"), "1,240 customers"),
    ],
)
def test_numbers_are_written_for_people(written, expected):
    assert plain(written) == expected


def test_titles_are_wrapped_without_losing_a_word():
    text = "where customers get lost is a question of where they are met"
    lines = wrap(text, 20).split("<br>")
    assert " ".join(lines) == text
    assert max(map(len, lines)) <= 20
    assert len(lines) > 2
