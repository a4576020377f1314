"""The documentation as a site: `python -m docs.pages`, or `make docs`.

`docs/` holds what people write. Here is what makes pages of it: `stage` collects them, `reference` and its neighbours
write the reference pages from the code, `site` builds the whole and checks it. A page that links to nothing, or loads
anything from another host, is an error.
"""
