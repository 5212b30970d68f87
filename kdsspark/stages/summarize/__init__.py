"""Stage ``summarize``: thresholds, curves and layers from the distances."""
