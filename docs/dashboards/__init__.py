"""Grafana's pages as code: `python -m docs.dashboards` writes `conf/grafana/*.json`.

`panels` has the words, and each page is a module: what it is for is its first sentence.
"""
