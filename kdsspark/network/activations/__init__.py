"""A model rewritten so that its outputs are the pooled activations of the wanted layers."""

from kdsspark.network.activations.graph import ancestors
from kdsspark.network.activations.pooling import PEAK, over_views, pool
from kdsspark.network.activations.reading import inspect, needs, read, unpooled

__all__ = ["PEAK", "ancestors", "inspect", "needs", "over_views", "pool", "read", "unpooled"]
