"""What to do first, what it is worth, and how to know: plan, what-if, priorities."""

from typing import TYPE_CHECKING

from cxlib.lazy import load_lazily

if TYPE_CHECKING:
    from cxlib.opportunities.backtest import BacklogBacktest as BacklogBacktest
    from cxlib.opportunities.backtest import backtest_priorities as backtest_priorities
    from cxlib.opportunities.cjml import read_cjml as read_cjml
    from cxlib.opportunities.expansion import Expansions as Expansions
    from cxlib.opportunities.expansion import find_expansions as find_expansions
    from cxlib.opportunities.experiments import read_experiment as read_experiment
    from cxlib.opportunities.next_best import NextBest as NextBest
    from cxlib.opportunities.next_best import next_best as next_best
    from cxlib.opportunities.personas import Personas as Personas
    from cxlib.opportunities.personas import find_personas as find_personas
    from cxlib.opportunities.plan import Plan as Plan
    from cxlib.opportunities.plan import measure_plan as measure_plan
    from cxlib.opportunities.priorities import Priorities as Priorities
    from cxlib.opportunities.priorities import list_priorities as list_priorities
    from cxlib.opportunities.what_if import Change as Change
    from cxlib.opportunities.what_if import WhatIf as WhatIf
    from cxlib.opportunities.what_if import estimate_what_if as estimate_what_if

__getattr__, __dir__ = load_lazily(__name__)
