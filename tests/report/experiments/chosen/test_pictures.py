"""Which images a figure has room for."""

from __future__ import annotations

import pandas as pd

from kdsspark.report.experiments.chosen.pictures import MOST, first_images


def test_a_figure_has_room_for_eight_images_equally_many_of_each_dataset() -> None:
    rows = [
        {"images_per_class": 1.0, "dataset": d, "image_id": f"{d}{i}"}
        for d, n in (("a", 9), ("b", 2), ("c", 9))
        for i in range(n)
    ]
    found = first_images(pd.DataFrame(rows))
    assert len(found) == MOST == 8
    assert found["dataset"].value_counts().to_dict() == {"a": 3, "b": 2, "c": 3}
    assert found["image_id"].tolist()[:3] == ["a0", "a1", "a2"]
