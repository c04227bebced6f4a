"""Customer journeys: where they fragment, how sure that is, and what to mend first.

The log       log = cx.read_log("sales.csv", map="map.yaml")  # log.report, log.set_aside
              ws = cx.build(log, "shop", customers="customers.csv", ratings="survey.csv")
              ws = cx.open("shop"), or ws = cx.sample(); cx.explain(ws)
A part of it  app = cx.Where(segment={"persona": "explorer"}, since="2025-03", channel="app")
What happens  cx.measure_touchpoints(ws, where=app), in the same way measure_overview, _paths,
              _first_contacts, _stages, _transitions, _handoffs, _waits, _path_tree,
              _attribution, and cx.measure_funnel(ws, steps=["page", "basket"])
How it feels  cx.measure_perception(ws), _experience_curve, _spectrum, _consistency, _comments,
              _drivers, _loyalty, _preferences, _audience; cx.list_audience, cx.write_audience
Side by side  cx.compare(ws, app, cx.Where(channel="web"))
              cx.compare_segments(ws, dimension="persona")
What breaks   found = cx.find_breaks(ws); cx.watch(ws, since="2025-07-01")
              cx.describe_signals(ws); cx.check(ws): is it silent without a fault?
What comes    cx.predict_breaks(ws): handoffs and customers under way, held against the past
What to do    cx.list_priorities(ws); cx.measure_plan(ws): what became of the plan
              cx.what_if(ws, [cx.Change(...), cx.mend_to_expected(ws, "page", "basket")])
              cx.find_expansions(ws), read_experiment; cx.find_personas(ws); cx.next_best(ws)
Show it       cx.plot(result); cx.explain(result); cx.save(figure, "slide.png", size="slide")
              cx.explore(ws, measure=cx.measure_paths): the same with a row of filters
              every result: .table, .write_csv(path), .only(stage=cx.find_stages(ws, "sale"))
Share it      cx.publish(ws, k=10); cx.serve(ws); cx.export(ws, "out"); cx.report(ws, "a.html")

help(cx.measure_touchpoints) says what is measured, how, and what every column is.
On the command line: cx --help. How it is built: docs/architecture.md.
"""

from typing import TYPE_CHECKING

from cxlib.lazy import load_lazily

if TYPE_CHECKING:
    from cxlib.audience import measure_audience as measure_audience
    from cxlib.audience import write_audience as write_audience
    from cxlib.comparing import Comparison as Comparison
    from cxlib.comparing import compare as compare
    from cxlib.errors import CxError as CxError
    from cxlib.fragmentation.described import describe_signals as describe_signals
    from cxlib.fragmentation.findings import measure_fragmentation as find_breaks
    from cxlib.fragmentation.selftest import check_fragmentation as check
    from cxlib.fragmentation.watch import watch_findings as watch
    from cxlib.front.data import build as build
    from cxlib.front.data import find_stages as find_stages
    from cxlib.front.data import open as open
    from cxlib.front.data import read_log as read_log
    from cxlib.front.data import sample as sample
    from cxlib.front.exploring import explore as explore
    from cxlib.front.sharing import export as export
    from cxlib.front.sharing import publish as publish
    from cxlib.front.sharing import report as report
    from cxlib.front.sharing import serve as serve
    from cxlib.front.showing import explain as explain
    from cxlib.front.showing import plot as plot
    from cxlib.front.showing import save as save
    from cxlib.journey_map import JourneyMap as JourneyMap
    from cxlib.journey_map import read_journey_map as read_journey_map
    from cxlib.measures.attribution import measure_attribution as measure_attribution
    from cxlib.measures.comments import measure_comments as measure_comments
    from cxlib.measures.drivers import measure_drivers as measure_drivers
    from cxlib.measures.experience import measure_consistency as measure_consistency
    from cxlib.measures.experience import measure_experience_curve as measure_experience_curve
    from cxlib.measures.experience import measure_spectrum as measure_spectrum
    from cxlib.measures.first_contacts import measure_first_contacts as measure_first_contacts
    from cxlib.measures.funnels import measure_funnel as measure_funnel
    from cxlib.measures.loyalty import measure_loyalty as measure_loyalty
    from cxlib.measures.overview import measure_overview as measure_overview
    from cxlib.measures.path_tree import measure_path_tree as measure_path_tree
    from cxlib.measures.paths import measure_paths as measure_paths
    from cxlib.measures.perception import measure_perception as measure_perception
    from cxlib.measures.preferences import list_audience as list_audience
    from cxlib.measures.preferences import measure_preferences as measure_preferences
    from cxlib.measures.segments import compare_segments as compare_segments
    from cxlib.measures.stage_funnel import measure_stages as measure_stages
    from cxlib.measures.touchpoints import measure_touchpoints as measure_touchpoints
    from cxlib.measures.transitions import measure_handoffs as measure_handoffs
    from cxlib.measures.transitions import measure_transitions as measure_transitions
    from cxlib.measures.waits import measure_waits as measure_waits
    from cxlib.opportunities.expansion import find_expansions as find_expansions
    from cxlib.opportunities.experiments import read_experiment as read_experiment
    from cxlib.opportunities.mending import mend_to_expected as mend_to_expected
    from cxlib.opportunities.next_best import next_best as next_best
    from cxlib.opportunities.personas import find_personas as find_personas
    from cxlib.opportunities.plan import measure_plan as measure_plan
    from cxlib.opportunities.priorities import list_priorities as list_priorities
    from cxlib.opportunities.what_if import Change as Change
    from cxlib.opportunities.what_if import estimate_what_if as what_if
    from cxlib.prediction.predict import predict_breaks as predict_breaks
    from cxlib.store import Workspace as Workspace
    from cxlib.where import Where as Where

__version__ = "0.1.0"

__getattr__, __dir__ = load_lazily(__name__)
