"""The journey map: where customers get lost, for whom, by which channel, and when."""
