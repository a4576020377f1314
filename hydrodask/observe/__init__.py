"""Show people and machines what the platform does.

Takes `Overview` and documents; gives metrics (`metrics`), a live terminal view (`live`), plain
lines (`lines`), a page on the Dask dashboard (`page`) and the status document (`status`). Loses
nothing, because nothing depends on it: what can't be shown or pushed is counted, and the run goes
on.
"""
