"""Kinds of values and labels: measured as the same numbers in numpy, or refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

import kdsspark

N = 40
RNG = np.random.default_rng(0)
LABELS = RNG.choice(["cat", "dog", "fish"], N)
# Sixteenths are exact in every type of floats here, and zeros make sparse matrices of it.
VALUES = np.round(RNG.normal(size=(N, 7)) * (RNG.random((N, 7)) < 0.6), 1).astype(np.float32)
VALUES = np.round(VALUES * 16) / 16
COUNTS = RNG.integers(0, 9, (N, 7))
MISSING = np.where(RNG.random((N, 7)) < 0.2, np.nan, VALUES)


def nullable(values: Any) -> pd.DataFrame:
    return pd.DataFrame(values).astype("Float32")


def mixed(values: Any) -> pd.DataFrame:
    frame = pd.DataFrame(values).add_prefix("unit ")
    return frame.assign(**{"unit 0": frame["unit 0"].astype(np.int16)})


KINDS: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "float16": (VALUES, lambda v: v.astype(np.float16)),
    "float64": (VALUES, lambda v: v.astype(np.float64)),
    "big-endian": (VALUES, lambda v: v.astype(">f4")),
    "Fortran order": (VALUES, np.asfortranarray),
    "reversed": (VALUES, lambda v: v[::-1].copy()[::-1]),
    "every other column": (VALUES, lambda v: np.repeat(v, 2, axis=1)[:, ::2]),
    "read-only": (VALUES, lambda v: np.frombuffer(v.tobytes(), v.dtype).reshape(v.shape)),
    "lists": (VALUES, lambda v: v.tolist()),
    "int64": (COUNTS, lambda v: v.astype(np.int64)),
    "uint8": (COUNTS, lambda v: v.astype(np.uint8)),
    "booleans": (COUNTS > 4, lambda v: v),
    "masked": (MISSING, lambda v: np.ma.masked_where(np.isnan(v), np.nan_to_num(v, nan=99))),
    "tensor": (VALUES, torch.from_numpy),
    "tensor with gradient": (VALUES, lambda v: torch.from_numpy(v).requires_grad_()),
    "bfloat16": (VALUES.round(), lambda v: torch.from_numpy(v).bfloat16()),
    "frame": (VALUES, lambda v: pd.DataFrame(v).add_prefix("unit ")),
    "frame of two types": (COUNTS, mixed),
    "frame with missing values": (MISSING, nullable),
    "frame of categories' codes": (COUNTS, lambda v: pd.DataFrame(v, dtype="Int16")),
    "sparse frame": (VALUES, lambda v: pd.DataFrame(v).astype(pd.SparseDtype("float32", 0))),
    "csr": (VALUES, scipy.sparse.csr_matrix),
    "csc array": (VALUES, scipy.sparse.csc_array),
    "coo with duplicates": (
        2 * VALUES,
        lambda v: scipy.sparse.coo_matrix(
            (np.tile((v / 2)[v != 0], 2), np.tile(np.nonzero(v), 2)), v.shape
        ),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_values_is_measured_as_its_numbers(kind: str) -> None:
    numbers, convert = KINDS[kind]
    expected = kdsspark.measure(np.asarray(numbers, np.float64), LABELS)
    found = kdsspark.measure(convert(numbers), LABELS)
    pd.testing.assert_frame_equal(found.ks, expected.ks, check_exact=True)
    pd.testing.assert_frame_equal(found.ranges, expected.ranges, check_exact=True)
    assert expected.ks["ks"].abs().max() > 0.2


def test_float32_is_not_rounded_and_float64_not_shortened() -> None:
    values = 1 + np.arange(8)[:, None] * 1e-12
    labels = list("aaaabbbb")
    assert kdsspark.measure(values, labels).ks["ks"].tolist() == [-1, 1]
    assert kdsspark.measure(values.astype(np.float32), labels).ks["ks"].tolist() == [0, 0]


NUMBERS = np.array([0, 1, 2, 10, 100] * 8)
KINDS_OF_LABELS: dict[str, tuple[Any, list[Any]]] = {
    "strings": (LABELS, ["cat", "dog", "fish"]),
    "objects": (LABELS.astype(object), ["cat", "dog", "fish"]),
    "list": (LABELS.tolist(), ["cat", "dog", "fish"]),
    "series with another index": (pd.Series(LABELS, index=range(9, 9 + N)), ["cat", "dog", "fish"]),
    "categories, one unused": (
        pd.Categorical(LABELS, ["fish", "owl", "cat", "dog"]),
        ["cat", "dog", "fish"],
    ),
    "pandas strings": (pd.array(LABELS, dtype="string"), ["cat", "dog", "fish"]),
    "numbers in the order of text": (NUMBERS, [0, 1, 10, 100, 2]),
    "tensor": (torch.from_numpy(NUMBERS), [0, 1, 10, 100, 2]),
    "nullable integers": (pd.array(NUMBERS, dtype="Int64"), [0, 1, 10, 100, 2]),
    "booleans": (NUMBERS > 1, [False, True]),
}


MEMBER = np.random.default_rng(5).random((N, 3)) < 0.4
KINDS_OF_SEVERAL: dict[str, Any] = {
    "integers": MEMBER.astype(int),
    "lists": MEMBER.tolist(),
    "torch": torch.tensor(MEMBER),
    "sparse": scipy.sparse.csr_matrix(MEMBER),
    "a sparse array": scipy.sparse.csc_array(MEMBER.astype(np.int8)),
    "pandas": pd.DataFrame(MEMBER),
    "pandas that may be missing": pd.DataFrame(MEMBER).astype("boolean"),
    "columns of two types": pd.DataFrame(MEMBER).astype({0: int}),
    "a transposed array": np.asfortranarray(MEMBER),
}


@pytest.mark.parametrize("kind", KINDS_OF_SEVERAL)
def test_every_kind_of_several_labels_gives_the_same(kind: str) -> None:
    found = kdsspark.measure(VALUES, KINDS_OF_SEVERAL[kind])
    assert found.classes == [0, 1, 2]
    pd.testing.assert_frame_equal(found.ks, kdsspark.measure(VALUES, MEMBER).ks, check_exact=True)
    first = found.ks.query("unit == 0")
    assert first["n_inner"].tolist() == MEMBER.sum(axis=0).tolist()
    assert first["n_outer"].tolist() == (~MEMBER).sum(axis=0).tolist()


@pytest.mark.parametrize("kind", KINDS_OF_LABELS)
def test_every_kind_of_labels_gives_classes_by_name(kind: str) -> None:
    labels, classes = KINDS_OF_LABELS[kind]
    found = kdsspark.measure(VALUES, labels)
    assert found.classes == classes
    assert [type(label) for label in found.classes] == [type(label) for label in classes]
    first = found.ks[found.ks["unit"] == 0]
    assert first["class"].tolist() == classes
    assert first["class_id"].tolist() == list(range(len(classes)))
    plain = [label for label in np.asarray(labels).tolist()]
    assert first["n_inner"].tolist() == [plain.count(label) for label in classes]


ID = "0" * 31
VALUE_ERRORS: dict[str, tuple[dict[str, Any], str]] = {
    "one axis": ({"values": VALUES[0]}, r"values must be \[images, units\], got shape \(7,\)$"),
    "maps": (
        {"values": VALUES.reshape(N, 7, 1, 1)},
        r"got shape \(40, 7, 1, 1\); average or maximise each unit's map first$",
    ),
    "no image": (
        {"values": VALUES[:0], "labels": []},
        r"one image and one unit, got shape \(0, 7\)",
    ),
    "no unit": ({"values": VALUES[:, :0]}, r"one image and one unit, got shape \(40, 0\)$"),
    "strings": (
        {"values": VALUES.astype(str)},
        r"values must be floats of at most 64 bits, .*got <U",
    ),
    "objects": ({"values": VALUES.astype(object)}, "integers or booleans, got object$"),
    "complex": ({"values": VALUES * 1j}, "got complex64$"),
    "long double": ({"values": VALUES.astype(np.longdouble)}, "got float128$"),
    "complex sparse": ({"values": scipy.sparse.csr_matrix(VALUES * 1j)}, "got complex64$"),
    "a column of strings": (
        {"values": pd.DataFrame(VALUES).assign(name=LABELS)},
        "values column 'name' must be floats .*got object$",
    ),
    "no layer": ({"values": {}}, "at least one layer, got an empty mapping$"),
    "layers of other images": (
        {"values": {"a": VALUES, "b": VALUES[1:]}},
        r"same images, got shape \(40, 7\) of 'a' and \(39, 7\) of 'b'$",
    ),
    "a wrong layer": ({"values": {"a": VALUES, "b": LABELS}}, r"values\['b'\] must be \[images"),
    "two layers of one name": ({"values": {1: VALUES, "1": VALUES}}, "different names, got 1, 1$"),
    "fewer labels": (
        {"labels": LABELS[1:]},
        r"each of the 40 images of values, shape \(40, 7\), got shape \(39,\)$",
    ),
    "fewer labels of several": (
        {"labels": np.ones((N - 1, 3), bool)},
        r"must be \[images, classes\] for the 40 images of values, .* got shape \(39, 3\)$",
    ),
    "labels of more axes": (
        {"labels": np.ones((N, 3, 1), bool)},
        r"labels must be one for each of the 40 images .* got shape \(40, 3, 1\)$",
    ),
    "no class of several": (
        {"labels": np.ones((N, 0), bool)},
        r"must be \[images, classes\] for the 40 images of values, .* got shape \(40, 0\)$",
    ),
    "a frame without a class": (
        {"labels": pd.DataFrame(index=range(N))},
        r"labels must be \[images, classes\]",
    ),
    "no image with a label": (
        {"labels": np.zeros((N, 3), bool)},
        r"labels must hold one at least, got none in shape \(40, 3\)$",
    ),
    "numbers of classes in a column": (
        {"labels": np.arange(N)[:, None]},
        r"labels must be \[images, classes\] of booleans, got 2$",
    ),
    "names of several": (
        {"labels": [["a", "b"]] * N},
        r"labels must be \[images, classes\] of booleans, got <U1$",
    ),
    "lists of names": (
        {"labels": [["a"], ["a", "b"]] * (N // 2)},
        r"labels must be \[images, classes\] of booleans, got lists of different lengths$",
    ),
    "a missing label of several": (
        {"labels": pd.DataFrame(np.ones((N, 2), bool)).astype("boolean").mask(np.eye(N, 2) == 1)},
        r"labels must not be missing, got some in \[images, classes\]$",
    ),
    "a class twice": (
        {"labels": pd.DataFrame(np.ones((N, 2), bool), columns=["a", "a"])},
        r"labels must have a column for each class once, got \['a', 'a'\]$",
    ),
    "float labels": ({"labels": np.arange(N) / 2}, "strings, integers or booleans, got float64$"),
    "a missing label": (
        {"labels": [None, *LABELS[1:]]},
        "labels must not be missing, got None for image 0$",
    ),
    "a label of pandas that is missing": (
        {"labels": pd.array([1, *[2] * (N - 2), None], dtype="Int64")},
        "labels must not be missing, got <NA> for image 39$",
    ),
    "an empty label": ({"labels": ["a"] * (N - 1) + [" "]}, "not be empty, got ' ' for image 39$"),
    "labels of two types": ({"labels": [1, "1"] * 20}, "all integers or booleans, got int, str$"),
    "fewer ids": ({"ids": [ID + "1"]}, "ids must be one for each of the 40 images, got 1$"),
    "ids that are none": (
        {"ids": [f"{ID}{i:x}" for i in range(16)] * 2 + ["image 7"] * 8},
        "32 hexadecimal digits, as image_id of the tables, got 'image 7' for image 32$",
    ),
    "an id twice": ({"ids": [ID + "1"] * N}, f"ids must differ, got {ID}1 twice$"),
    "bins": ({"bins": 1}, "bins: must be greater than or equal to 2, got 1$"),
    "no shuffle": ({"shuffles": 0}, "shuffles: must be greater than or equal to 1, got 0$"),
    "a distance that is none": ({"distances": ["kl"]}, "distances.0: must be .*got 'kl'$"),
    "threads": ({"threads": 0}, "threads must be at least 1, got 0$"),
}


@pytest.mark.parametrize("mistake", VALUE_ERRORS)
def test_a_mistake_is_a_value_error_of_one_line(mistake: str) -> None:
    changed, message = VALUE_ERRORS[mistake]
    with pytest.raises(ValueError, match=message) as error:
        kdsspark.measure(**{"values": VALUES, "labels": LABELS} | changed)
    assert "\n" not in str(error.value)


def test_settings_may_be_numbers_of_numpy() -> None:
    found = kdsspark.measure(VALUES, LABELS, shuffles=np.int64(2), seed=np.uint8(3))
    same = kdsspark.measure(VALUES, LABELS, shuffles=2, seed=3)
    pd.testing.assert_frame_equal(found.davg, same.davg, check_exact=True)
