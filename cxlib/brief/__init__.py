"""The brief: one page of HTML, at most four of paper, for people who open no dashboard."""

from typing import TYPE_CHECKING

from cxlib.lazy import load_lazily

if TYPE_CHECKING:
    from cxlib.brief.content import write_brief as write_brief
    from cxlib.brief.printing import check_paths as check_paths
    from cxlib.brief.printing import print_pdf as print_pdf

__getattr__, __dir__ = load_lazily(__name__)
