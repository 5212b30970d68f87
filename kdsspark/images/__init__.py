"""Pixels from a row of ``images``: fetch, decode, load ahead, retry, isolate (executor)."""
