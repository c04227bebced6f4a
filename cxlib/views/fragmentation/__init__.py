"""Which handoffs break, for whom, how sure that is, and what to do."""
