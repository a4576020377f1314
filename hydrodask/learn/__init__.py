"""Learning: stored cycle profiles and labels → registered models, and models → states of components.

Takes the lake's `cycles/` and `labels/`; gives runs and models in MLflow, and predictions. Loses cycles without a
label (in training) and cycles whose sensors a model needs and that are missing (in scoring); both are counted.

`data` reads and imports cycles, `train` makes models of them, `score` asks models. Below all three: `features`, which
trainer and scorer share, `targets`, `registry`, `digests`, `drift`, and `compute`, the Dask cluster of batches. The
stream imports `score` and what it stands on, never `train` or `data`.
"""
