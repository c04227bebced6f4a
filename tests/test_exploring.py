"""The row of widgets of the notebooks, driven by setting what a reader would choose."""

import pytest

import cxlib as cx
from cxlib.simulate.sample import write_sample


@pytest.fixture(scope="module")
def ws(tmp_path_factory):
    files = write_sample(tmp_path_factory.mktemp("files"), customers=250, seed=11)
    log = cx.read_log(files["contacts"], map=files["journey_map"])
    return cx.build(log, tmp_path_factory.mktemp("explored") / "shop", customers=files["customers"])


def test_a_choice_is_asked_of_the_log_and_drawn(ws):
    shown = cx.explore(ws)
    assert shown.result.table.equals(cx.measure_touchpoints(ws).table)
    shown.segment.value = ("region", "north")
    shown.channel.value = "web"
    shown.period.value = (2, 4)
    assert shown.where == cx.Where(
        segment={"region": "north"},
        since=ws.periods.starts[2],
        until=shown.where.until,
        channel="web",
    )
    same = cx.Where(segment={"region": "north"}, since="2025-03", until="2025-05", channel="web")
    expected = cx.measure_touchpoints(ws, where=same)
    assert shown.result.table.equals(expected.table)
    assert shown._figure.figure["layout"]["title"]["text"] in cx.plot(expected).layout.title.text
    assert str(shown) == str(cx.explain(expected))
    shown.segment.value = shown.channel.value = ""
    shown.period.value = (0, len(ws.periods) - 1)
    assert shown.where == cx.Where()


def test_what_a_part_cannot_answer_is_said_in_the_place_of_the_figure(ws):
    shown = cx.explore(ws, measure=cx.measure_stages)
    shown.channel.value = "web"
    assert shown.result is None
    assert "lies across channels" in str(shown)
    assert shown._figure.layout.display == "none"
    shown.channel.value = ""
    assert shown.result is not None
    assert shown._figure.layout.display is None


def test_a_reader_without_widgets_reads_the_words(ws):
    bundle = cx.explore(ws, measure=cx.measure_paths, top=3)._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/markdown"].startswith("**The most frequent of ")
    assert "text/plain" in bundle


def test_names_of_the_log_are_no_markup_in_the_widget():
    from cxlib.front.showing import Explanation

    said = Explanation("<b>x</b>", ("<i>",), ("<u>",)).to_html()
    assert not {"<i>", "<u>", "<b>x"} & {said[i : i + 3] for i in range(len(said))}
    assert "&lt;b&gt;x" in said
