"""Recorded folders → the lake's profiles; profiles and labels → cycles with their features, as Dask collections."""
