"""A model rewritten so that its outputs are the pooled activations of the wanted layers."""

from kdsspark.network.activations.graph import ancestors
from kdsspark.network.activations.pooling import PEAK, WHOLE, over_views, pool
from kdsspark.network.activations.reading import inspect, needs, read, shapes, unpooled

__all__ = [
    "PEAK",
    "WHOLE",
    "ancestors",
    "inspect",
    "needs",
    "over_views",
    "pool",
    "read",
    "shapes",
    "unpooled",
]
