"""What a run is put together of: data directory, platform, source, and the views on it.

Takes settings, gives a platform that runs until it is told to end. Commands, tests and benchmarks use it.
"""
