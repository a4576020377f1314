"""Benchmarks of hydrodask. Each prints a table and keeps a JSON result in `benchmarks/results`."""
