"""The galleries of a study, as the report draws them."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from kdsspark.engine.stage import Context
from kdsspark.report.gallery.gallery import Gallery
from kdsspark.stages.report import curves
from kdsspark.stages.report.pictures import galleries


def galleries_of(context: Context, frames: Mapping[str, pd.DataFrame]) -> list[Gallery]:
    """Chosen from ``frames``, with pictures and curves."""
    choice = galleries.choose(context, frames)
    pictures = galleries.pictures(context, choice)
    counts = curves.read(context.session, context.output, galleries.counts_shown(choice))
    return galleries.galleries(context.output, choice, pictures, counts)
