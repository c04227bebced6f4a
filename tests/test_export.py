"""A dashboard as a file: it says what the snapshot says, asks nobody, and names no customer."""

import base64
import gzip
import hashlib
import json
import random
import re
from html import escape, unescape
from pathlib import Path
from typing import ClassVar

import figure_findings
import ipywidgets as widgets
import numpy as np
import publish_log
import pytest
from typer.testing import CliRunner

from cxlib.cli import app
from cxlib.errors import InputError, UnknownNameError
from cxlib.export import export_dashboard, recording
from cxlib.export.nodes import Nodes
from cxlib.export.page import write_recording
from cxlib.export.recording import find_choices, is_hidden, record, walk
from cxlib.figures.fragmentation import describe_findings
from cxlib.figures.theme import DARK, LIGHT, light_dark
from cxlib.fragmentation.sentences import headline
from cxlib.publish import Snapshot, publish
from cxlib.views.fragmentation.view import Fragmentation
from cxlib.views.journey_map.view import JourneyMap

PANELS = {"journey_map": JourneyMap, "fragmentation": Fragmentation}
SHARED = Path(__file__).parents[1] / "cxlib/serve/jupyter/voila/templates/cx/static"
PACKED = re.compile(r'<script type="application/octet-stream" id="(\S+?)">(\S+?)</script>')


@pytest.fixture(scope="module")
def log():
    return publish_log.simulate(3)


@pytest.fixture(scope="module")
def snapshot(log, tmp_path_factory) -> Snapshot:
    workspace = publish_log.build(log, tmp_path_factory.mktemp("shop"))
    return publish(workspace, only=list(PANELS), answers=("touchpoints", "transitions", "findings"))


@pytest.fixture(scope="module", autouse=True)
def _few_together():
    """Filters one at a time, as in the file of a real snapshot: there are too many to combine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recording, "MOST_TOGETHER", 12)
        yield


@pytest.fixture(scope="module", params=list(PANELS))
def exported(request, snapshot, tmp_path_factory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("exported")
    return request.param, export_dashboard(snapshot, request.param, folder)


def unpacked(path: Path) -> dict[str, str]:
    """What is compressed in a file, by its name."""
    found = PACKED.findall(path.read_text("utf-8"))
    return {name: gzip.decompress(base64.b64decode(text)).decode() for name, text in found}


class File:
    """An exported file, read the way its script reads it."""

    def __init__(self, held: str) -> None:
        self.held = json.loads(held)

    @classmethod
    def read(cls, path: Path) -> "File":
        return cls(unpacked(path)["cx-recording"])

    def value(self, part):
        if isinstance(part, list):
            return [self.value(one) for one in part]
        if not isinstance(part, dict):
            return part
        if "$" in part:
            return self.value(self.held["nodes"][part["$"]])
        full = {key: self.value(one) for key, one in part.items()}
        if "pieces" in full:
            pieces = [base64.b64decode(piece) for piece in full.pop("pieces")]
            full["bdata"] = base64.b64encode(b"".join(pieces)).decode()
        return full

    def shown(self, key: str, details: dict[str, str]):
        """Yield widget, trait and value of all that is shown for a selection."""
        selection = self.held["selections"][key]
        now = dict(selection["shown"])
        for choice, option in details.items():
            now.update(dict(selection["changes"][choice].get(option, ())))
        for slot, number in now.items():
            if number is not None:
                widget, trait, *part = self.held["slots"][slot]
                yield widget, trait, part, self.value({"$": number})

    def options(self, key: str, choice: str) -> list[str]:
        selection = self.held["selections"][key]
        return [selection["chosen"][choice], *selection["changes"][choice]]


def set_to(panel, key: str, details: dict[str, str]) -> None:
    choices = find_choices(panel)
    for choice, option in zip([c for c in choices if c.is_filter], json.loads(key), strict=True):
        choice.choose(option)
    for choice in choices:
        if str(choice.number) in details:
            choice.choose(details[str(choice.number)])


def check_against(file: File, panel) -> None:
    """Set a panel to every selection of a file, and compare all that both show."""
    for widget in walk(panel.widget):
        if widget.has_trait("wanted"):
            widget.wanted = True  # in a file everything is there already
    draw = random.Random(1)
    names = [str(c["widget"]) for c in file.held["choices"] if not c["filter"]]
    for key in file.held["selections"]:
        # Several choices at once: the file keeps each alone, and puts them together.
        details = {name: draw.choice(file.options(key, name)) for name in names}
        set_to(panel, key, details)
        numbered = list(walk(panel.widget))
        closed = {id(w) for box in numbered if is_hidden(box) for w in list(walk(box))[1:]}
        for number, trait, part, value in file.shown(key, details):
            widget = numbered[number]
            if id(widget) in closed:
                continue  # nobody sees what it says, which may be what it said before
            if trait == "hidden":
                assert (widget.layout.display == "none") == value
            elif trait != "figure":
                assert json.loads(json.dumps(getattr(widget, trait))) == value, (key, trait)
            elif part == ["layout"]:
                assert widget.figure["layout"] == value, key
            else:
                assert value in widget.figure["data"], key


def test_the_file_shows_what_the_panel_shows_for_every_selection(exported, snapshot):
    view, path = exported
    check_against(File.read(path), PANELS[view](snapshot))


class Findings:
    """Findings that differ by segment, more than the small shop has."""

    segments = (("region", "east"), ("region", "west"))
    manifest: ClassVar = {"name": "Demo", "k": 10}

    def findings(self, *, segment=None):
        if segment == ("region", "west"):
            return figure_findings.nothing()
        rows = figure_findings.ROWS[1:2] if segment else figure_findings.ROWS
        return figure_findings.details(rows)


def test_every_finding_opens_in_every_selection():
    recorded = record(Fragmentation(Findings()))
    file = File(write_recording(recorded))
    everybody, *others = file.held["selections"]
    (name,) = [str(c["widget"]) for c in file.held["choices"] if not c["filter"]]
    keys = set(file.options(everybody, name))
    assert len(keys) == 1 + figure_findings.details().found.height >= 3
    assert "" in keys
    assert file.held["selections"][everybody]["chosen"][name] != "", "the worst is open at first"
    west = next(key for key in others if json.loads(key)[0] == "2")
    assert file.options(west, name) == [""]
    check_against(file, Fragmentation(Findings()))


def test_figures_have_all_their_traces_in_their_order(exported, snapshot):
    view, path = exported
    file, panel = File.read(path), PANELS[view](snapshot)
    numbered = list(walk(panel.widget))
    first = next(iter(file.held["selections"]))
    traces: dict[int, list[object]] = {}
    for number, trait, part, value in file.shown(first, {}):
        if trait == "figure" and part == ["data"]:
            traces.setdefault(number, []).append(value)
    assert traces or view == "fragmentation", "nothing can be judged in the small shop"
    for number, found in traces.items():
        assert found == numbered[number].figure["data"]


def test_the_sentences_are_those_of_the_snapshot(exported, snapshot):
    view, path = exported
    file = File.read(path)
    for i, segment in enumerate((None, *snapshot.segments)):
        key = next(k for k in file.held["selections"] if json.loads(k)[0] == str(i))
        texts = [v for _, trait, _, v in file.shown(key, {}) if trait == "value"]
        sentence = (
            headline(snapshot.findings(segment=segment)).sentence
            if view == "journey_map"
            else describe_findings(snapshot.findings(segment=segment))
        )
        assert any(escape(sentence) in text for text in texts), segment


def test_every_segment_and_every_period_can_be_chosen(exported, snapshot):
    view, path = exported
    page, file = path.read_text("utf-8"), File.read(path)
    labels = {unescape(label) for label in re.findall(r"<option[^>]*>([^<]*)</option>", page)}
    assert {f"{dimension}: {value}" for dimension, value in snapshot.segments} <= labels
    if view == "journey_map":
        assert {"Jan 2026", "Feb 2026", "Mar 2026", "Apr 2026"} <= labels
        filters = [c for c in find_choices(JourneyMap(snapshot)) if c.is_filter]
        alone = 1 + sum(len(c.options) - 1 for c in filters)
        assert not file.held["together"]
        assert len(file.held["selections"]) == alone
        assert "apply one at a time" in page


def test_few_combinations_are_all_there_and_the_panel_is_left_as_it_was(snapshot, monkeypatch):
    monkeypatch.setattr(recording, "MOST_TOGETHER", 100)
    panel = Fragmentation(snapshot)
    before = [choice.chosen for choice in find_choices(panel)]
    recorded = record(panel)
    options = [len(c.options) for c in recorded.choices if c.is_filter]
    assert recorded.together
    assert len(recorded.selections) == np.prod(options) > 8
    assert [choice.chosen for choice in find_choices(panel)] == before


def test_the_file_asks_nobody_for_anything(exported):
    _, path = exported
    page = path.read_text("utf-8")
    policy = unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', page).group(1))
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == rules["connect-src"] == rules["form-action"] == "'none'"
    script = page.rsplit("<script>", 1)[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert rules["script-src"] == f"'sha256-{digest}' blob:"
    assert page.index("Content-Security-Policy") < page.index("<style")
    said = PACKED.sub("", page) + unpacked(path)["cx-recording"]
    assert not re.search(r"https?://|//[a-z]+\.[a-z]|@import|url\(", said)
    assert not re.search(r"<(script|img|iframe|link)[^>]* (src|href)=", said)
    assert PACKED.sub("", page).count("<script") == 1


def test_no_figure_offers_to_upload_itself(exported):
    _, path = exported
    file = File.read(path)
    first = next(iter(file.held["selections"]))
    configs = [value for _, trait, _, value in file.shown(first, {}) if trait == "config"]
    assert configs
    assert all(c["showSendToCloud"] is False and c["displaylogo"] is False for c in configs)


def test_no_customer_and_no_comment_is_in_the_file(exported, log):
    _, path = exported
    held = unpacked(path)
    held.pop("cx-plotly")
    everything = path.read_text("utf-8") + "".join(held.values())
    _, people = log
    assert not [p["customer"] for p in people if p["customer"] in everything]
    assert publish_log.COMMENT not in everything
    assert "/tmp" not in everything


def test_the_file_is_small_and_made_the_same_twice(exported, snapshot, tmp_path):
    view, path = exported
    assert path.stat().st_size < 4_000_000
    if view == "fragmentation":
        assert export_dashboard(snapshot, view, tmp_path / "b.html").read_bytes() == (
            path.read_bytes()
        )


def test_what_a_user_can_get_wrong_is_one_sentence(snapshot, tmp_path):
    with pytest.raises(UnknownNameError, match="journey_map"):
        export_dashboard(snapshot, "journeymap", tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        export_dashboard(snapshot, "fragmentation", tmp_path / "file" / "a.html")
    other = Snapshot(snapshot.folder, snapshot.manifest | {"views": ["journey_map"]})
    with pytest.raises(InputError, match="--view fragmentation"):
        export_dashboard(other, "fragmentation", tmp_path)


def test_the_command_writes_the_file_and_says_its_size(snapshot, tmp_path):
    workspace = str(snapshot.folder.parent.parent)
    asked = ["export", workspace, "--view", "fragmentation", "--out", str(tmp_path / "out")]
    said = CliRunner().invoke(app, asked)
    assert said.exit_code == 0, said.output
    assert "fragmentation.html (" in said.stdout
    written = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert written == ["fragmentation.html", "index.html"]
    wrong = CliRunner().invoke(app, ["export", workspace, "--view", "fragments"])
    assert wrong.exit_code == 1
    assert "fragmentation" in wrong.stderr


def test_equal_values_are_kept_once_and_come_back_whole():
    outline = np.array([1, 2, np.nan, 3, 4, np.nan], dtype="f4")
    other = np.array([3, 4, np.nan, 1, 2, np.nan], dtype="f4")
    arrays = [
        {"dtype": "f4", "bdata": base64.b64encode(a.tobytes()).decode()} for a in (outline, other)
    ]
    nodes = Nodes()
    long = "a sentence that is longer than a reference"
    numbers = [nodes.add({"x": array, "text": [long, long, None, 1.5]}) for array in arrays]
    assert numbers == [nodes.add({"x": array, "text": [long, long, None, 1.5]}) for array in arrays]
    assert sum(value == long for value in nodes.values) == 1
    file = File(json.dumps({"nodes": nodes.values}))
    assert [file.value({"$": n})["x"] for n in numbers] == arrays
    pieces = [v["pieces"] for v in nodes.values if isinstance(v, dict) and "pieces" in v]
    assert sorted(pieces[0]) == sorted(pieces[1])


def test_a_dashboard_that_cannot_answer_is_not_exported(snapshot):
    panel = JourneyMap(snapshot)
    panel.message.value = "<p>This selection could not be shown.</p>"
    with pytest.raises(Exception, match="could not be recorded"):
        record(panel)


def test_a_dashboard_that_changes_its_parts_is_refused(snapshot):
    panel = JourneyMap(snapshot)
    panel.segment.observe(
        lambda _: setattr(panel.widget, "children", (*panel.widget.children, widgets.HTML())),
        "value",
    )
    with pytest.raises(Exception, match="changes its parts"):
        record(panel)


def test_pages_have_the_colours_of_the_theme():
    css = (SHARED / "cx.css").read_text("utf-8")
    for name in ("ink", "muted", "rule", "paper", "band", "accent", "finding"):
        assert f"--cx-{name}: {light_dark(getattr(LIGHT, name))};" in css, name
        assert getattr(DARK, name) in css
