"""What the tables say of many distances at once: counts, thresholds, fits, significance."""
