"""Kolmogorov-Smirnov distances of convolutional features, per feature and class, on Spark."""

__version__ = "0.1.0"
