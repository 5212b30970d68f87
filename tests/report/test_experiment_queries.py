"""The queries of experiments over rows that are written by hand, by DuckDB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pytest

from kdsspark.report.experiment_queries import EXPERIMENT_QUERIES
from kdsspark.tables import TABLES, Table
from tests.report.synthetic import run_on

Rows = Sequence[Mapping[str, Any]]

PAIR = {"network": "n", "dataset": "birds"}
LAYER = PAIR | {"layer": "l"}
STUDY: dict[str, Rows] = {
    "features": [
        {"network": "n", "layer": layer, "unit": unit, "kind": "conv", "depth": depth}
        for depth, (layer, units) in enumerate({"first": 1, "l": 3}.items())
        for unit in range(units)
    ],
    "thresholds": [PAIR | {"images_per_class": 9.0}],
    "images": [
        {"dataset": "birds", "image_id": f"{i}", "class_id": i % 2, "class_name": "ab"[i % 2]}
        for i in range(4)
    ],
}


def ask(name: str, **rows: Rows) -> pd.DataFrame:
    """The rows of one query; tables without given rows are empty."""
    with duckdb.connect() as connection:
        for table in TABLES.values():
            connection.register("rows", _arrow(table, (STUDY | rows).get(table.name, ())))
            connection.execute(f"CREATE TABLE {table.name} AS SELECT * FROM rows")
        return run_on(connection, {name: EXPERIMENT_QUERIES[name]})[name]


def _arrow(table: Table, rows: Rows) -> pa.Table:
    partitions = [pa.field(partition, pa.string()) for partition in table.partitioned_by]
    fields = [*partitions, *(field.with_nullable(True) for field in table.schema)]
    return pa.Table.from_pylist([dict(row) for row in rows], schema=pa.schema(fields))


def test_a_class_has_its_best_single_feature_and_the_numbers_that_reach_a_part() -> None:
    shares = {0: {1: 0.4, 2: 0.5, 3: 1.0}, 1: {1: 0.2, 2: 0.3, 3: 1.0}}
    (first, second) = ask(
        "filters",
        filters_needed=[
            LAYER | {"class_id": c, "k": k, "share": share, "average_precision": share / 2}
            for c, of in shares.items()
            for k, share in of.items()
        ],
        filters=[
            LAYER | {"class_id": c, "unit": unit, "average_precision": value}
            for c, values in {0: [0.3, 0.7], 1: [0.2, 0.1]}.items()
            for unit, value in enumerate(values)
        ],
    ).to_dict("records")
    assert (first["class_name"], second["class_name"]) == ("a", "b")
    assert (first["depth"], first["n_features"], first["images_per_class"]) == (1, 3, 9.0)
    numbers = ["full", "half", "most", "best"]
    assert [first[name] for name in numbers] == [0.5, 2, 3, 0.7]
    assert [second[name] for name in numbers] == [0.5, 3, 3, 0.2]


def test_two_classes_share_the_features_with_the_50_largest_weights_of_both() -> None:
    places = {0: {0: 1, 1: 50, 2: None}, 1: {0: 2, 1: 51, 2: 1}}
    found = ask(
        "filters/overlap",
        filters=[
            LAYER | {"class_id": c, "unit": unit, "weight_place": place}
            for c, of in places.items()
            for unit, place in of.items()
        ],
    ).set_index(["class_id", "other"])
    assert found["overlap"].to_dict() == {
        (0, 0): 2 / 50,
        (0, 1): 1 / 50,
        (1, 0): 1 / 50,
        (1, 1): 2 / 50,
    }


def test_curves_of_a_class_are_averaged_over_its_features() -> None:
    found = ask(
        "filters/curves",
        filters_curves=[
            LAYER
            | {"class_id": 0, "kind": kind, "place": place, "recall": 0.5, "precision": precision}
            for kind, precisions in {"best": [0.75, 0.25], "random": [0.125]}.items()
            for place, precision in enumerate(precisions, start=1)
        ],
    )
    assert dict(zip(found["choice"], found["precision"], strict=True)) == {
        "best": 0.5,
        "random": 0.125,
    }


def test_what_is_of_a_view_stands_in_the_row_of_the_first_layer() -> None:
    view = PAIR | {"image_id": "2", "change": "shift", "amount": 1.0}
    found = ask(
        "invariance",
        invariance=[view | {"layer": name, "distance": 0.5} for name in ("l", "first")],
        invariance_views=[view | {"true_class": True, "probability": 0.25, "picture": b"png"}],
    )
    assert found["layer"].tolist() == ["first", "l"]
    assert found["class_name"].tolist() == ["a", "a"]
    assert found["probability"].iloc[0] == 0.25
    assert bytes(found["picture"].iloc[0]) == b"png"
    assert found[["true_class", "probability", "picture"]].iloc[1].isna().all()


def test_pictures_stand_in_the_row_of_the_first_place() -> None:
    image = PAIR | {"image_id": "1", "layer": "l", "class_name": "b"}
    found = ask(
        "occlusion",
        occlusion=[PAIR | {"image_id": "1", "y": y, "x": x} for y in (4, 0) for x in (4, 0)],
        occlusion_images=[image | {"picture": b"png", "projection": b"max", "activation": 2.0}],
    )
    assert list(zip(found["y"], found["x"], strict=True)) == [(0, 0), (0, 4), (4, 0), (4, 4)]
    assert found["plain_activation"].tolist() == [2.0] * 4
    for name in ("picture", "projection"):
        assert found[name].notna().tolist() == [True, False, False, False]


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("label-entropy", {"unit": 0}),
        ("sparsity", {}),
        ("filters/needed", {"class_id": 0, "k": 1}),
        ("training-size", {"classifier": "svm", "train_per_class": 1}),
        ("dimensions", {"dimensions": 1, "reduced": True}),
        ("retrieval", {"windows": 0, "whitened": False}),
        ("grids", {"pooling": "mean", "grid": 1}),
        ("ablations", {"form": "max"}),
        ("correspondence", {"part": "eye", "random": False}),
    ],
)
def test_rows_are_in_the_order_of_datasets_then_layers(name: str, key: dict[str, Any]) -> None:
    table = name.replace("-", "_").replace("/", "_")
    several = [PAIR | {"dataset": "a", "images_per_class": 50.0}, *STUDY["thresholds"]]
    rows = [
        {"network": "n", "dataset": dataset, "layer": layer} | key
        for dataset in ("a", "birds")
        for layer in ("l", "first")
    ]
    found = ask(name, thresholds=several, **{table: rows})
    columns = ["dataset", "images_per_class", "depth", "layer"]
    assert found[columns].to_numpy().tolist() == [
        [dataset, images, depth, layer]
        for dataset, images in (("birds", 9.0), ("a", 50.0))
        for depth, layer in enumerate(("first", "l"))
    ]


def test_networks_alone_come_before_those_side_by_side() -> None:
    found = ask(
        "sources",
        sources=[
            PAIR | {"sources": sources, "n_sources": sources.count("+") + 1}
            for sources in ("n+b", "n", "b")
        ],
    )
    assert found["sources"].tolist() == ["b", "n", "n+b"]
