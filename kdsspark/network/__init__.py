"""Architectures, weights, crops and the pooled activations of a network: torch only."""
