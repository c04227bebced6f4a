"""Every text a visitor reads on the pages around a dashboard, in one place."""

from __future__ import annotations

SITE = "Customer journeys"
LIGHT_COLOURS, DARK_COLOURS = "Light", "Dark"
HOME_EMPTY = "No dashboard is published here yet."
LOADING = "This is the published view. Filters appear in a moment."
LOADING_LINK = (
    "Below are all customers and the whole time; the selection of your link appears in a moment."
)
NO_SCRIPT = "This dashboard needs JavaScript to be filtered."
NO_SNAPSHOT_TITLE = "Nothing is published yet"
NO_SNAPSHOT = (
    "The figures for this dashboard have not been published. "
    "Please ask the people who gave you this address; they publish with: cx publish"
)
NOT_FOUND_TITLE = "There is no such page"
NOT_FOUND = "The address may be old or mistyped."
FULL_TITLE = "All places are taken"
FULL = (
    "As many people as this server can take are looking at dashboards right now. "
    "Please try again in a minute."
)
FORBIDDEN_TITLE = "This page is not open to you"
FORBIDDEN = "Please sign in, or ask the people who gave you this address."
FAILED_TITLE = "This page could not be made"
FAILED = (
    "The fault is on our side and has been noted. "
    "Please try again; if it stays, tell the people who run this server."
)
CELL_FAILED_TITLE = "This part of the dashboard could not be made"
CELL_FAILED = (
    "The fault is on our side and has been noted. "
    "Please reload the page; if it stays, tell the people who run this server."
)
BROKEN_OFF_TITLE = "The filters could not be started"
BROKEN_OFF = (
    "The fault is on our side and has been noted. "
    "Please try again in a minute; if it stays, tell the people who run this server."
)
VIEWS = "Views"
TRY_AGAIN = "Try again"
ALL_DASHBOARDS = "All dashboards"
SIGN_IN_TITLE = "Sign in"
SIGN_IN = "These dashboards are for invited people. Enter the token or password you were given."
SIGN_IN_LABEL = "Token or password"
SIGN_IN_BUTTON = "Open"
SIGN_IN_WRONG = "That is not the right token or password."
SIGNED_OUT_TITLE = "You are signed out"
SIGNED_OUT = "To see the dashboards again, sign in with the token or password you were given."
TOO_MANY_TITLE = "Too many tries"
TOO_MANY = "Please wait a moment, then try again."
