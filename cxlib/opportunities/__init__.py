"""What to do first, what it is worth, and how to know: plan, what-if, priorities."""
