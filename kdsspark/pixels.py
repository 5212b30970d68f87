"""The architecture ``pixels``, which needs no network: numbers of the image itself."""

from typing import Final

ARCHITECTURE: Final = "pixels"

NAMES: Final = (
    *("mean_red", "mean_green", "mean_blue", "deviation_red", "deviation_green", "deviation_blue"),
    *("luminance", "contrast", "saturation", "sharpness", "edge_density"),
    *("aspect_ratio", "pixels", "bytes"),
)
"""Its units in order; :mod:`kdsspark.images.properties` computes them."""

SHORT_SIDE: Final = 256
"""To which the image is resized for all but the last three."""
