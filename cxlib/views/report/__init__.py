"""The report: one page of HTML, at most four of paper, for people who open no dashboard."""
