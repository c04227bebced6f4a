"""The journey map: what stands where, what is drawn, what is left out and said to be."""

import math
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from figure_results import CHANNELS, PLACES, STAGES, touchpoints, transitions, transitions_by_name

from cxlib.errors import InputError, UnknownNameError
from cxlib.figures.map_labels import Mark, place_key, place_of
from cxlib.figures.map_layout import (
    COLUMN_PX,
    NARROWEST_COLUMN_PX,
    Place,
    lay_out,
    ribbon,
)
from cxlib.figures.map_traces import WIDEST
from cxlib.figures.touchpoints import (
    MOST_MOVES,
    describe_touchpoints,
    map_positions,
    plot_touchpoints,
)
from cxlib.measures.experience import ExperienceCurve
from cxlib.views.journey_map.cards import next_moves, touchpoint_cards, touchpoint_details
from cxlib.views.shared.templates import page_style

BASKET = Place("web basket", "web", "conversion")
TRACES = (
    "moves",
    "chosen moves",
    "found moves",
    "directions",
    "rings",
    "touchpoints",
    "hatching",
    "labels",
    "marks",
    "legend",
)


def trace(figure, name):
    return next(t for t in figure.data if t.name == name)


def many(cells, stages=4, channels=3):
    """Places in every cell, `cells` each."""
    return [
        Place(f"touchpoint {s} {c} {i}", f"channel {c}", f"stage {s}")
        for s in range(stages)
        for c in range(channels)
        for i in range(cells)
    ]


@pytest.mark.parametrize("cells", [1, 2, 4, 7])
def test_circles_and_labels_never_overlap(cells):
    places = many(cells)
    layout = lay_out(
        places, stages=[f"stage {s}" for s in range(4)], channels=[f"channel {c}" for c in range(3)]
    )
    assert set(layout.spots) == set(places)
    for column in range(4):
        ys = sorted(y for x, y in layout.spots.values() if int(x) == column)
        # a circle above, its label of 15 pixels below it, and the next circle
        assert min(b - a for a, b in pairwise(ys)) >= layout.largest_circle + 15
    assert layout.largest_circle > 15
    assert all(0 < y < layout.height for _, y in layout.spots.values())
    for lines in layout.labels.values():
        assert max(len(line) for line in lines) * 7.4 <= NARROWEST_COLUMN_PX
        assert (len(lines[-1]) + len("  1,240")) * 7.4 <= NARROWEST_COLUMN_PX


def test_a_label_of_two_lines_gets_a_higher_row():
    names = ["A_PARTLYSUBMITTED", "W_Nabellen incomplete dossiers", "till"]
    places = [Place(name, "web", "conversion") for name in names]
    layout = lay_out(places, stages=STAGES[:4], channels=["web"])
    assert layout.labels[places[0]] == ("A_PARTLYSUBMITTED", "")
    assert layout.labels[places[1]] == ("W_Nabellen incomplete", "dossiers")
    assert layout.labels[places[2]] == ("till",)
    ys = [layout.spots[place][1] for place in places]
    assert ys[1] - ys[0] >= layout.largest_circle + 30


def test_columns_lanes_and_order_follow_the_map():
    layout = map_positions(touchpoints())
    assert layout.stages == STAGES
    assert [lane.channel for lane in layout.lanes] == list(CHANNELS)
    for (name, channel, stage, *_), place in zip(PLACES, layout.spots, strict=False):
        assert place in layout.spots, name
        x, y = layout.spots[Place(name, channel, stage)]
        lane = next(lane for lane in layout.lanes if lane.channel == channel)
        assert STAGES[int(x)] == stage
        assert lane.top < y < lane.bottom


def test_the_column_unmapped_is_there_only_when_needed():
    mapped = touchpoints(PLACES[:5], stages=STAGES[:4])
    assert map_positions(mapped).stages == STAGES[:4]


def test_a_long_name_is_shortened():
    long = Place("a name much longer than a column of the map could ever hold", "web", "awareness")
    layout = lay_out([long], stages=STAGES[:4], channels=["web"])
    first, second = layout.labels[long]
    assert first == "a name much longer"
    assert second.endswith("…")
    assert layout.labels == lay_out([long], stages=STAGES[:4], channels=["web"]).labels


def test_of_many_touchpoints_the_rare_are_left_out_counted_and_kept_where_something_was_found():
    many_places = tuple(
        (f"t{i}", "web", STAGES[1], 1000 if i < 9 else 5, 0.1, None) for i in range(40)
    )
    result = touchpoints(many_places)
    layout = map_positions(result)
    assert {place.touchpoint for place in layout.spots} == {f"t{i}" for i in range(9)}
    kept = map_positions(result, keep=[Place("t30", "web", STAGES[1])])
    assert {place.touchpoint for place in kept.spots} - {f"t{i}" for i in range(9)} == {"t30"}
    figure = plot_touchpoints(result)
    assert len(trace(figure, "touchpoints").x) == 9
    note = next(a.text for a in figure.layout.annotations if "rarer" in a.text)
    assert "And 31 rarer touchpoints, with 1.7\N{NO-BREAK SPACE}% of contacts" in note


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ((0.5, 100), (1.5, 300)),
        ((1.5, 300), (0.5, 100)),
        ((0.5, 50), (0.5, 400)),
        ((2.5, 90), (2.45, 10)),
    ],
)
def test_a_band_joins_its_ends_in_its_width_and_always_turns_the_same_way(source, target):
    x, y, (_, _, angle) = ribbon(source, target, 8.0)
    px = np.array(x) * COLUMN_PX
    py = np.array(y)
    assert (px[0], py[0]) == (px[-1], py[-1])
    half = (len(px) - 1) // 2
    middle = (px[0] + px[2 * half - 1]) / 2 / COLUMN_PX, (py[0] + py[2 * half - 1]) / 2
    assert middle == pytest.approx(source)
    width = math.hypot(px[0] - px[2 * half - 1], py[0] - py[2 * half - 1])
    assert width == pytest.approx(8.0)
    area = np.sum(px[:-1] * py[1:] - px[1:] * py[:-1])
    assert area < 0
    assert -180 <= angle <= 180


def test_the_map_has_its_traces_in_order_and_a_circle_for_every_touchpoint():
    figure = plot_touchpoints(touchpoints(), transitions=transitions())
    assert tuple(t.name for t in figure.data) == TRACES
    circles = trace(figure, "touchpoints")
    assert {place_of(key).touchpoint for key in circles.customdata} == {p[0] for p in PLACES}
    sizes = dict(zip(circles.customdata, circles.marker.size, strict=True))
    big, small = (sizes[place_key(Place(*p[:3]))] for p in (PLACES[0], PLACES[4]))
    assert (big / small) ** 2 == pytest.approx(4000 / 700)
    assert figure.layout.meta["alt"] == describe_touchpoints(touchpoints())
    assert "customers" in figure.layout.title.subtitle.text


def test_a_mean_rating_stands_beside_how_many_answered():
    figure = plot_touchpoints(touchpoints())
    known = [text for text in trace(figure, "touchpoints").hovertext if "rating" in text]
    assert len(known) == 6
    assert all("rating: 7.4 (7.1–7.7)<br>rated: 27\N{NO-BREAK SPACE}%" in text for text in known)
    notes = [note.text for note in figure.layout.annotations if "rated" in note.text]
    assert len(notes) == 3
    assert all("rated 7.4 by 27\N{NO-BREAK SPACE}%" in note for note in notes)


def test_colour_is_one_measure_and_unknown_is_hollow():
    result = touchpoints()
    figure = plot_touchpoints(result, colour_by="lost")
    circles = trace(figure, "touchpoints")
    colours = dict(zip(circles.customdata, circles.marker.color, strict=True))
    assert colours[place_key(Place(*PLACES[5][:3]))] == "#ffffff"
    assert len(set(colours.values())) == 6
    legend = trace(figure, "legend").marker.colorbar
    assert "lost" in legend.title.text
    assert [t.replace("\N{NO-BREAK SPACE}", " ") for t in legend.ticktext] == [
        "0 %",
        "25 %",
        "50 %",
    ]
    rated = trace(plot_touchpoints(result, colour_by="rating"), "legend").marker.colorbar
    assert rated.ticktext == ("7.0", "7.5", "8.0")
    with pytest.raises(UnknownNameError, match="lost, go_on, open, rating"):
        plot_touchpoints(result, colour_by="lots")


def test_a_filter_keeps_places_and_loses_circles():
    everything = touchpoints()
    positions = map_positions(everything)
    web = touchpoints(tuple(p for p in PLACES if p[1] == "web"))
    figure = plot_touchpoints(web, positions=positions)
    circles = trace(figure, "touchpoints")
    for key, x, y in zip(circles.customdata, circles.x, circles.y, strict=True):
        assert (x, y) == positions.spots[place_of(key)]
    assert len(circles.x) == 3
    assert len(figure.layout.yaxis.range) == 2
    assert figure.layout.yaxis.range[0] == positions.height


def test_moves_to_what_a_filter_left_out_end_at_hollow_circles():
    store = touchpoints(tuple(p for p in PLACES if p[1] == "store"))
    moves = transitions({(1, 2): 200})
    figure = plot_touchpoints(store, transitions=moves, positions=map_positions(touchpoints()))
    circles = trace(figure, "touchpoints")
    shown = dict(
        zip((place_of(k).touchpoint for k in circles.customdata), circles.marker.color, strict=True)
    )
    assert set(shown) == {"shop visit", "product page"}
    assert shown["product page"] == "#ffffff" != shown["shop visit"]


def bands(figure, name):
    return int(np.isnan(np.asarray(trace(figure, name).x, dtype=float)).sum())


def test_at_most_forty_moves_are_drawn_and_the_others_counted():
    names = [(f"t{i}", "web", "exploration", 100, 0.1, None) for i in range(10)]
    pairs = {(a, b): 10 + a * 10 + b for a in range(10) for b in range(10)}
    figure = plot_touchpoints(
        touchpoints(tuple(names)), transitions=transitions(pairs, places=names), title="x"
    )
    assert bands(figure, "moves") == MOST_MOVES == len(trace(figure, "directions").x)
    note = next(a.text for a in figure.layout.annotations if "drawn" in a.text)
    moves = {pair: n for pair, n in pairs.items() if pair[0] != pair[1]}
    left = sum(sorted(moves.values())[: len(moves) - MOST_MOVES]) / sum(moves.values())
    assert f"{len(moves) - MOST_MOVES} rare ones, {100 * left:.0f}\N{NO-BREAK SPACE}%" in note


def test_the_selected_touchpoint_is_ringed_and_its_moves_are_on_top():
    figure = plot_touchpoints(touchpoints(), transitions=transitions(), selected=BASKET)
    assert bands(figure, "chosen moves") == 2
    assert bands(figure, "moves") == 3
    rings = trace(figure, "rings")
    assert (rings.x[0], rings.y[0]) == map_positions(touchpoints()).spots[BASKET]


def test_a_finding_is_red_and_labelled():
    page = Place("product page", "web", "exploration")
    mark = Mark(page, "loses 1,240", target=BASKET)
    figure = plot_touchpoints(touchpoints(), transitions=transitions(), marks=[mark])
    assert bands(figure, "found moves") == 1
    assert trace(figure, "found moves").fillcolor.startswith("rgba(194,47,12")
    label = trace(figure, "marks")
    assert label.text == ("<b>loses 1,240</b>",)
    assert label.textfont.color == "#c22f0c"
    assert label.customdata == (place_key(page),), "a click on it opens what it leaves"
    assert label.hoverinfo == "none", "of what is skipped plotly tells no click"
    assert place_key(page) in trace(figure, "directions").customdata
    assert bands(plot_touchpoints(touchpoints(), transitions=transitions()), "found moves") == 0


def test_a_mark_stands_beside_a_steep_band_and_above_a_flat_one():
    names = [(f"t{i}", "web", "exploration", 100, 0.1, None) for i in range(2)]
    ends = [Place(name, channel, stage) for name, channel, stage, *_ in names]
    steep = plot_touchpoints(
        touchpoints(tuple(names)),
        transitions=transitions({(0, 1): 90}, places=names),
        marks=[Mark(ends[0], "1", target=ends[1])],
    )
    assert trace(steep, "marks").textposition[0] in ("middle right", "middle left")
    page = Place("product page", "web", "exploration")
    flat = plot_touchpoints(
        touchpoints(), transitions=transitions(), marks=[Mark(page, "1", target=BASKET)]
    )
    assert trace(flat, "marks").textposition[0] == "middle center"


@pytest.mark.parametrize(("way", "above"), [((0, 1), {0}), ((1, 0), {0}), (None, set())])
def test_a_name_stands_above_its_circle_where_the_band_of_a_finding_would_cross_it(way, above):
    names = [
        ("delivery notice", "ads", "exploration", 900, 0.1, None),
        ("support call", "app", "exploration", 900, 0.1, None),
        ("order status", "web", "exploration", 900, 0.1, None),
    ]
    ends = [Place(name, channel, stage) for name, channel, stage, *_ in names]
    figure = plot_touchpoints(
        touchpoints(tuple(names)),
        transitions=transitions({(0, 1): 90, (1, 0): 90}, places=names),
        marks=[Mark(ends[way[0]], "1", target=ends[way[1]])] if way else [],
    )
    labels, spots = trace(figure, "labels"), map_positions(touchpoints(tuple(names))).spots
    stands = {
        place: (position, y < spots[place][1])
        for place, position, y in zip(
            map(place_of, labels.customdata), labels.textposition, labels.y, strict=True
        )
    }
    assert {p for p, (_, is_above) in stands.items() if is_above} == {ends[i] for i in above}
    assert all((at == "top center") is is_above for at, is_above in stands.values())


def test_the_weakest_are_named_in_the_sentence():
    sentence = describe_touchpoints(touchpoints()).replace("\N{NO-BREAK SPACE}", " ")
    assert sentence == (
        "More customers get lost after display ad than anywhere else: 30 % (28–32) of contacts "
        "lead nowhere; then web basket (40 %) and product page (web) (10 %)"
    )


def test_unknown_losses_are_said_to_be_unknown():
    unknown = touchpoints(tuple((*p[:4], None, None) for p in PLACES))
    assert "not known" in describe_touchpoints(unknown)
    partly = touchpoints((*((*p[:4], None, None) for p in PLACES[:3]), (*PLACES[4][:4], 0.0, None)))
    assert "not known" in describe_touchpoints(partly)
    unranked = touchpoints(tuple((*p[:5], None) for p in PLACES))
    assert "most often after web basket: 40" in describe_touchpoints(unranked)
    nobody = touchpoints(tuple((*p[:4], 0.0, None) for p in PLACES))
    assert "No touchpoint" in describe_touchpoints(nobody)


def test_the_map_needs_moves_between_places():
    with pytest.raises(InputError, match="by='place'"):
        plot_touchpoints(touchpoints(), transitions=transitions_by_name())


def test_suppressed_and_empty_results_can_be_drawn():
    few = touchpoints(tuple((*p[:3], None, None, None) for p in PLACES))
    figure = plot_touchpoints(few, transitions=transitions())
    assert all("too few" in text for text in trace(figure, "touchpoints").hovertext)
    empty = touchpoints()
    empty = touchpoints(table=empty.table.clear(), by_stage=empty.by_stage.clear())
    assert len(trace(plot_touchpoints(empty), "touchpoints").x) == 0


def test_widths_are_in_proportion_to_moves():
    figure = plot_touchpoints(touchpoints(), transitions=transitions({(0, 1): 100, (1, 3): 50}))
    xs = np.asarray(trace(figure, "moves").x, dtype=float)
    ys = np.asarray(trace(figure, "moves").y, dtype=float)
    first, second = np.split(np.arange(len(xs)), np.flatnonzero(np.isnan(xs))[:1])
    across = [
        math.hypot((xs[part[0]] - xs[part[-k]]) * COLUMN_PX, ys[part[0]] - ys[part[-k]])
        for part, k in ((first, 2), (second[1:-1], 2))
    ]
    assert across == pytest.approx([WIDEST, WIDEST / 2], rel=1e-3)


def test_cards_hold_every_touchpoint_and_escape_what_they_are_given():
    nasty = (("<script>alert(1)</script>", "web", "awareness", 100, 0.2, 1), *PLACES[1:])
    html = touchpoint_cards(touchpoints(nasty), transitions=transitions(places=nasty))
    assert html.count("<details") == len(PLACES)
    assert html.count("<section") == 4
    assert "<script" not in html
    assert "weakest" not in html
    assert "a bar is all of them" in html
    assert "lost 40\N{NO-BREAK SPACE}%" in html


def test_details_say_what_is_known_and_what_is_not():
    rows = touchpoints().table.to_dicts()
    place = Place(rows[3]["touchpoint"], rows[3]["channel"], rows[3]["stage"])
    said = {
        "rank": 2,
        "sentence": "web basket loses <80>",
        "todo": "Ask sales.",
        "address": "a?b=1",
    }
    basket = touchpoint_details(
        rows[3], moves=next_moves(transitions()).get(Place.of(rows[3]), ()), found={place: [said]}
    )
    assert "payment" in basket
    assert "Finding 2" in basket
    assert '<a class="cx-to" href="a?b=1">Web basket loses &lt;80&gt;</a>' in basket
    assert "Ask sales." in basket
    unknown = touchpoint_details(rows[5])
    assert "<dt>lost</dt>" in basket
    assert "<dt>lost</dt>" not in unknown
    assert "Finding" not in unknown
    assert "<dt>rating</dt><dd>7.4 (7.1–7.7)</dd>" in basket
    assert "<dt>rated</dt><dd>27\N{NO-BREAK SPACE}%</dd>" in basket
    few = touchpoint_details(rows[3] | {"customers": None})
    assert few == "<p>Too few customers to be shown.</p>"
    assert [m["target_touchpoint"] for m in next_moves(transitions())[Place.of(rows[1])]] == [
        "web basket",
        "shop visit",
    ]


def test_the_style_sheet_is_in_the_colours_of_the_theme_and_loads_nothing():
    css = page_style()
    assert "--cx-finding: light-dark(#c22f0c, #ff7d5c)" in css
    assert "--cx-ink: #000000" in css.split("@media print")[-1]
    assert "url(" not in css
    assert "@import" not in css


def test_nothing_is_computed_from_an_unsorted_table():
    result = touchpoints()
    shuffled = touchpoints(table=result.table.sample(fraction=1, shuffle=True, seed=3))
    assert describe_touchpoints(shuffled) == describe_touchpoints(result)
    assert isinstance(shuffled.table, pl.DataFrame)


def test_the_rating_curve_stands_along_the_stages_each_mean_above_its_interval():
    means = ((STAGES[0], "ad", 6.0), (STAGES[1], "page", 8.5), (STAGES[1], "visit", 5.0))
    rows = [
        {"stage": stage, "touchpoint": name, "scale": "csat", "n": 40, "customers": 40}
        | {"contacts": 160, "mean": mean, "mean_low": mean - 0.4, "mean_high": mean + 0.4}
        for stage, name, mean in means
    ]
    table = ExperienceCurve.tables["table"].frame(rows)
    felt = ExperienceCurve(table=table, observed_until=touchpoints().observed_until)
    figure = plot_touchpoints(touchpoints(), feeling=felt)
    curve, said = trace(figure, "feeling"), trace(figure, "felt")
    assert list(curve.x) == list(said.x) == [0.5, 1.25, 1.75]
    assert list(said.text) == ["6.0", "8.5", "5.0"]
    # pixels grow downwards: the best stands highest
    assert curve.y[1] < curve.y[0] < curve.y[2]
    ends = [y - upper for y, upper in zip(curve.y, curve.error_y.arrayminus, strict=True)]
    assert all(y <= end for y, end in zip(said.y, ends, strict=True))
