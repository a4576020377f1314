"""Learning: stored cycle profiles and labels → registered models, and models → states of components.

Takes the lake's `cycles/` and `labels/`; gives runs and models in MLflow, and predictions. Loses cycles without a
label (in training) and cycles whose sensors a model needs and that are missing (in scoring); both are counted.
Trainer and scorer compute features with the same function, `features.compute`.
"""
