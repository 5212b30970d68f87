"""Spark as the stages use it: the session, work items, folds over files, GPUs."""
