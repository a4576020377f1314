"""Cycles with labels → trained, judged and registered models, and how far newer cycles have drifted from them."""
