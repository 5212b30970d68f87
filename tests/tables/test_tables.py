"""The declared tables against the public contract, which is written out here."""

import pyarrow as pa
import pytest

from kdsspark.stages import EXPERIMENTS
from kdsspark.tables import TABLES

PUBLIC = {  # table: (partition columns, columns)
    "images": ("dataset", "image_id, uri, class_id, class_name"),
    "failures": (
        "network, dataset",
        "image_id, uri, class_id, class_name, stage, error, message",
    ),
    "embeddings": ("network, dataset", "image_id, class_id, class_name"),
    "features": ("network", "layer, unit, feature, kind, depth"),
    "ranges": ("network, dataset", "layer, unit, lo, hi, n, n_nonfinite"),
    "histograms": ("network, dataset", "layer, unit, class_id, n, counts"),
    "ks": (
        "network, dataset, labels",
        "layer, unit, class_id, shuffle, n_inner, n_outer, ks, bin, ks_exact",
    ),
    "thresholds": (
        "network",
        "dataset, n_images, n_classes, images_per_class, t_plus, davg_plus, t_minus, davg_minus",
    ),
    "davg": ("network, dataset", "x, sign, n_true, n_shuffled, davg"),
    "layers": (
        "network, dataset, labels",
        "layer, sign, n, mode, low, high, q16, q50, q84, kept",
    ),
    "distribution": ("network, dataset, labels", "kind, layer, bin, lo, hi, n"),
    "survival": ("network, dataset, labels", "class_id, sign, x, n_features"),
    "exemplars": (
        "network, dataset",
        "layer, unit, rank, image_id, activation, y, x, view, x0, y0, x1, y1",
    ),
}
EXTRA = {
    "features": {"name"},
    "ks": {"auc", "p_auc", "mean_difference", "nonzero_inner", "nonzero_outer"},
    "images": {"version"},
    "failures": {"version", "content"},
    "embeddings": {"version", "content", "computed_on"},
    "survival": {"shuffle"},  # which permutation a curve of a shuffled class belongs to
    "exemplars": {"n_active", "n"},
    "thresholds": {"t_plus_std", "t_minus_std", "significant", "significant_by_layer"},
}
EXTRA_TABLES = {
    *("significance", "duplicates", "distances", "probe", "image_classes"),
    *("transforms", "transform_features", "full_network", "pruned"),
}
TYPES = {
    "layer": pa.string(),
    "unit": pa.int32(),
    "class_id": pa.int32(),
    "shuffle": pa.int32(),
    "bin": pa.int32(),
    "rank": pa.int32(),
    "activation": pa.float64(),
    "ks": pa.float64(),
    "ks_exact": pa.float64(),
    "image_id": pa.string(),
    "class_name": pa.string(),
    "sign": pa.string(),
}
NULLABLE = {
    "features": {"name"},
    "failures": {"content"},
    "embeddings": {"content", "computed_on"},
    "ranges": {"lo", "hi"},
    "ks": {"ks", "ks_exact", *EXTRA["ks"]},
    "thresholds": {
        *("t_plus", "davg_plus", "t_minus", "davg_minus"),
        *("t_plus_std", "t_minus_std"),
    },
    "exemplars": {"y", "x", "view", "x0", "y0", "x1", "y1"},
    "layers": {"mode", "low", "high", "q16", "q50", "q84", "kept"},
}


def test_there_are_the_public_tables_and_known_others() -> None:
    of_experiments = {table.name for one in EXPERIMENTS for table in one.tables}
    assert set(TABLES) == set(PUBLIC) | EXTRA_TABLES | of_experiments
    assert all(name == table.name for name, table in TABLES.items())


@pytest.mark.parametrize("name", PUBLIC)
def test_a_table_has_the_public_columns_in_order(name: str) -> None:
    table = TABLES[name]
    folders, columns = (text.split(", ") for text in PUBLIC[name])
    assert list(table.partitioned_by) == folders
    extra = EXTRA.get(name, set())
    assert [c for c in table.schema.names if c not in extra] == columns
    assert set(table.schema.names) == {*columns, *extra}


@pytest.mark.parametrize("name", PUBLIC)
def test_a_table_has_the_public_types_and_nulls_only_where_they_mean_something(name: str) -> None:
    schema = TABLES[name].schema
    for field in schema:
        assert field.type == TYPES.get(field.name, field.type)
        assert field.nullable == (field.name in NULLABLE.get(name, ()))


@pytest.mark.parametrize("name", PUBLIC)
def test_a_key_is_made_of_columns_and_says_each_partition(name: str) -> None:
    table = TABLES[name]
    assert set(table.key) <= {*table.partitioned_by, *table.schema.names}
    assert table.key[: len(table.partitioned_by)] == table.partitioned_by
    assert len(set(table.key)) == len(table.key)
    assert table.meaning
    assert all(column.meaning for column in table.columns)


def test_counts_are_a_list_of_32_bit_integers() -> None:
    counts = TABLES["histograms"].schema.field("counts").type
    assert pa.types.is_list(counts)
    assert counts.value_type == pa.int32()
