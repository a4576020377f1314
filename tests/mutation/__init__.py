"""Mutation: what would a test notice? One small fault at a time is put into the engine, and its quick tests run.

`make mutation` (hours), or `python -m tests.mutation [MODULE …] [--share 0.2] [--seed 1] [--budget 12] [--out FILE]`.
A fault is put into the code of a function in memory, in a forked child; no file is changed. The tests that run for it
are those that come to its line, the quickest first, for `--budget` seconds (`plugin.py` looks once who comes where).
With a larger budget what survived is tried again with more tests. What survives then is killed by a new test
(`--again` shows it), or explained in `explained.txt`, and not tried any more.

Left out: compiled kernels (their machine code is made from files), constants of modules and classes, what is only
said (messages, logs), and tests with real services, processes or a Dask cluster. `--marked cluster --budget 60` lets
those with a Dask cluster in: a fault is in the test's own process only, and its workers, if they have one, are whole.
"""
