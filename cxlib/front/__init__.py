"""What stands behind the names of ``import cxlib as cx``, where a room has not the name itself.

`data` reads a log and makes or opens a workspace; `breaking` asks for findings and forecasts;
`comparing` puts two parts of a log side by side; `plotting` and `explaining` give for any result
the figure and the words that the dashboards have; `exploring` is the row of widgets of the
notebooks; `sharing` publishes, serves and exports.
"""
