"""The receptive field of each location of a layer's maps: which pixels of the crop it sees.

:func:`receptive_fields` follows the traced graph from the pixels to each layer, and :func:`box`
turns the field of a layer into the pixels of one location. Behind them, ``geometry`` has the
arithmetic, and ``graph`` the table of rules, one an operation.
"""

from kdsspark.network.receptive_fields.geometry import Axis, Field, Whole, Window, box, windows
from kdsspark.network.receptive_fields.graph import receptive_fields

__all__ = ["Axis", "Field", "Whole", "Window", "box", "receptive_fields", "windows"]
