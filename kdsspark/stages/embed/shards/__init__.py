"""Shards: which images are in which, what an output holds of them, and their files."""
