"""The table of where a layer is read, row by row."""

from __future__ import annotations

import pytest
from torch import nn

from kdsspark.errors import ConfigError
from kdsspark.network.activations.points import points


def model() -> nn.Module:
    """0 conv, 1 norm, 2 ReLU, 3 conv, 4 ReLU6, 5 conv, 6 pool, 7 norm, 8 ReLU; and one beside."""
    conv = [nn.Conv2d(3, 3, 1) for _ in range(3)]
    norm = [nn.BatchNorm2d(3) for _ in range(2)]
    row = [conv[0], norm[0], nn.ReLU(), conv[1], nn.ReLU6(), conv[2], nn.MaxPool2d(2), norm[1]]
    row += [nn.ReLU()]
    whole = nn.Module()
    whole.row, whole.beside, whole.relu = nn.Sequential(*row), nn.Conv2d(3, 3, 1), nn.ReLU()
    return whole


@pytest.mark.parametrize(
    ("path", "after_relu", "before_relu"),
    [
        ("row.0", ("row.2", False), ("row.1", False)),  # norm and ReLU follow
        ("row.1", ("row.2", False), ("row.1", False)),
        ("row.2", ("row.2", False), ("row.2", True)),
        ("row.3", ("row.4", False), ("row.3", False)),  # ReLU6 follows
        ("row.4", ("row.4", False), ("row.4", True)),
        ("row.5", ("row.5", False), ("row.5", False)),  # the pooling keeps the ReLU apart
        ("row.6", ("row.6", False), ("row.6", False)),
        ("row.7", ("row.8", False), ("row.7", False)),
        ("row", ("row", False), ("row", False)),
        ("beside", ("beside", False), ("beside", False)),  # a ReLU, but not in its Sequential
        ("relu", ("relu", False), ("relu", True)),
    ],
)
def test_where_a_layer_is_read(
    path: str, after_relu: tuple[str, bool], before_relu: tuple[str, bool]
) -> None:
    assert points(model(), {"x": path}, "post_relu") == {"x": after_relu}
    assert points(model(), {"x": path}, "pre_relu") == {"x": before_relu}


def test_layers_keep_their_order_and_may_share_a_module() -> None:
    table = {"b": "row.3", "a": "row.0", "again": "row.2"}
    found = points(model(), table, "post_relu")
    assert list(found) == ["b", "a", "again"]
    assert found["a"] == found["again"]


@pytest.mark.parametrize(
    ("path", "close"), [("", "none is close"), ("row.33", "row.3"), ("zzz", "none is close")]
)
def test_a_path_of_no_module_is_refused(path: str, close: str) -> None:
    with pytest.raises(ConfigError) as caught:
        points(model(), {"x": path}, "post_relu")
    line = str(caught.value)
    assert line.startswith(f"layers.x: must be a module path of Module, got {path!r} (")
    assert close in line
