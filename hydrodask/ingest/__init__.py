"""The outside world: Kafka in and out, recordings, the rig simulator.

Takes topics, text files and random numbers, gives Messages on one side and published records on the other.
"""
