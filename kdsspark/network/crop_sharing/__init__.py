"""Ten crops of one image that share what their first layers have in common.

:func:`split` is the way in: it rewrites a network, or says that sharing would not help. Behind it,
``sharing`` computes, ``prefix`` cuts the network, and ``overlap`` knows what maps have in common.
"""

from kdsspark.network.crop_sharing.sharing import Shared, split

__all__ = ["Shared", "split"]
