"""The home page: a brief of one page, with a way into each view."""
