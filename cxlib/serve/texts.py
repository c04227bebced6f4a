"""Every text a visitor reads on the pages around a dashboard; of messages title and text."""

from __future__ import annotations

SITE = "Customer journeys"
LIGHT_COLOURS, DARK_COLOURS = "Light", "Dark"
VIEWS = "Views"
TRY_AGAIN = "Try again"
ALL_DASHBOARDS = "All dashboards"
HOME_EMPTY = "No dashboard is published here yet."
LOADING = "This is the published view. Its figures appear in a moment."
NO_SCRIPT = "The figures of this dashboard need JavaScript."
NO_SNAPSHOT = (
    "Nothing is published yet",
    "No figures have been published here yet. Please ask the people who gave you this address; "
    "they publish with: cx publish",
)
NOT_FOUND = "There is no such page", "The address may be old or mistyped."
FULL = (
    "All places are taken",
    "As many people as this server can take are looking at dashboards right now. "
    "Please try again in a minute.",
)
FORBIDDEN = (
    "This page is not open to you",
    "Please sign in, or ask the people who gave you this address.",
)
_NOTED = "The fault is on our side and has been noted. "
FAILED = (
    "This page could not be made",
    f"{_NOTED}Please try again; if it stays, tell the people who run this server.",
)
CELL_FAILED = (
    "This part of the dashboard could not be made",
    f"{_NOTED}Please reload the page; if it stays, tell the people who run this server.",
)
BROKEN_OFF = (
    "The figures could not be started",
    f"{_NOTED}Please try again in a minute; if it stays, tell the people who run this server.",
)
SIGN_IN = (
    "Sign in",
    "These dashboards are for invited people. Enter the token or password you were given.",
)
SIGN_IN_LABEL, SIGN_IN_BUTTON = "Token or password", "Open"
SIGN_IN_WRONG = "That is not the right token or password."
SIGNED_OUT = (
    "You are signed out",
    "To see the dashboards again, sign in with the token or password you were given.",
)
TOO_MANY = "Too many tries", "Please wait a moment, then try again."
