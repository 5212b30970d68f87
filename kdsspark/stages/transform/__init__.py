"""Stage ``transform``: full-network and pruned embeddings."""
