"""Values and labels as users have them, as the arrays that are measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from kdsspark.stats.several.label_sets import LabelSets

LAYER: Final = "values"
"""The name of the layer where the caller names none."""

_ID_DIGITS: Final = 32


@dataclass(frozen=True, eq=False)
class ArraySource:
    """The values of one layer, ``shape`` [images, units], read some units at a time.

    ``read(start, stop)`` gives [images, stop - start] as ``dtype``, float32 or float64.
    """

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    _units: Callable[[int, int], npt.NDArray[Any]]

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """The values of units ``start`` to ``stop``; a view where nothing has to be converted."""
        return self._units(start, stop).astype(self.dtype, copy=False)


def sources(values: Any) -> dict[str, ArraySource]:
    """Layer -> its values.

    ``values`` is [images, units], or a mapping of layers to such arrays. It may be of numpy, torch,
    pandas or scipy.sparse, or nested lists, of any type of numbers. Raises ValueError for other
    values, and for layers with different numbers of images.
    """
    if not isinstance(values, Mapping):
        return {LAYER: _source("values", values)}
    if not values:
        raise ValueError("values must have at least one layer, got an empty mapping")
    found = {str(name): _source(f"values[{name!r}]", some) for name, some in values.items()}
    if len(found) < len(values):
        raise ValueError(f"layers must have different names, got {', '.join(map(str, values))}")
    (first, source), *others = found.items()
    for name, other in others:
        if other.shape[0] != source.shape[0]:
            raise ValueError(
                f"layers must have the same images, got shape {source.shape} of {first!r} "
                f"and {other.shape} of {name!r}"
            )
    return found


def _source(what: str, values: Any) -> ArraySource:
    if hasattr(values, "tocsc"):
        _refuse_shape(what, values.shape)
        matrix = values.tocsc()
        return ArraySource(
            matrix.shape, _type(what, matrix.dtype), lambda a, b: matrix[:, a:b].toarray()
        )
    if isinstance(values, pd.DataFrame):
        return _of_frame(what, values)
    array = _as_array(values)
    _refuse_shape(what, array.shape)
    images, units = array.shape
    return ArraySource((images, units), _type(what, array.dtype), lambda a, b: array[:, a:b])


def _of_frame(what: str, frame: pd.DataFrame) -> ArraySource:
    _refuse_shape(what, frame.shape)
    types = [_type(f"{what} column {name!r}", _stored(dtype)) for name, dtype in _types(frame)]
    dtype = np.result_type(*types)
    return ArraySource(
        frame.shape, dtype, lambda a, b: frame.iloc[:, a:b].to_numpy(dtype, na_value=np.nan)
    )


def _types(frame: pd.DataFrame) -> list[tuple[Any, Any]]:
    return list(zip(frame.columns, frame.dtypes, strict=True))


def _stored(dtype: Any) -> Any:
    """The type of the elements of a pandas type; those of numbers that may be missing have one."""
    return getattr(dtype, "numpy_dtype", getattr(dtype, "subtype", dtype))


def _as_array(values: Any) -> npt.NDArray[Any]:
    """A view where there can be one. Tensors of torch leave their device; masked values are NaN."""
    if hasattr(values, "detach"):
        values = values.detach()
        values = (values.float() if str(values.dtype) == "torch.bfloat16" else values).cpu()
    if isinstance(values, np.ma.MaskedArray):
        values = np.ma.filled(values.astype(np.result_type(values.dtype, np.float32)), np.nan)
    found: npt.NDArray[Any] = np.asarray(values)
    return found


def _refuse_shape(what: str, shape: tuple[int, ...]) -> None:
    if len(shape) != 2:
        hint = "; average or maximise each unit's map first" if len(shape) > 2 else ""
        raise ValueError(f"{what} must be [images, units], got shape {tuple(shape)}{hint}")
    if min(shape) < 1:
        raise ValueError(
            f"{what} must have at least one image and one unit, got shape {tuple(shape)}"
        )


def _type(what: str, dtype: Any) -> np.dtype[Any]:
    """float32 where it holds every number of a type, else float64."""
    kind, size = getattr(dtype, "kind", "O"), getattr(dtype, "itemsize", 0)
    if kind not in "fiub" or size > 8:
        raise ValueError(
            f"{what} must be floats of at most 64 bits, integers or booleans, got {dtype}"
        )
    return np.dtype(np.float32 if size <= (4 if kind == "f" else 2) else np.float64)


# -- labels --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Classes:
    """The class of every image: ``ids``, int32 [images], are positions in ``names``.

    ``names`` are the labels as the caller gave them, in the order of their text, as the index has
    them: 10 comes before 2. Where an image may have several, ``ids`` are numbers of ``sets``.
    """

    ids: npt.NDArray[np.int32]
    names: list[Any]
    sets: LabelSets | None = None

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """The number of images of each class: int64 [classes]."""
        return np.bincount(self.ids) if self.sets is None else self.sets.sizes(self.ids)


def classes(labels: Any, shape: tuple[int, int]) -> Classes:
    """The classes of one label an image: strings, integers or booleans; or of any number.

    These are [images, classes], booleans or 0 and 1; a data frame's columns are the names of the
    classes, else they are numbered. ``shape`` is that of the values. Raises ValueError for another
    number of labels, for a label that is missing or of another type, and where no image has one.
    """
    axes = getattr(labels, "ndim", None)
    if axes == 2 or (axes is None and _is_nested(labels)):
        return _several(labels, shape)
    # As objects, pandas and lists keep what an array of one type would turn into something else:
    # integers with a missing one among them, numbers beside text.
    stored = isinstance(labels, Sequence | pd.Series | pd.Index | pd.api.extensions.ExtensionArray)
    found = np.asarray(labels, object) if stored else _as_array(labels)
    if found.ndim != 1 or len(found) != shape[0]:
        raise ValueError(
            f"labels must be one for each of the {shape[0]} images of values, shape {shape}, "
            f"got shape {found.shape}"
        )
    given, ids = np.unique(_comparable(found), return_inverse=True)
    texts = [str(label) for label in given.tolist()]
    order = sorted(range(len(texts)), key=texts.__getitem__)
    place = np.empty(len(texts), np.int32)
    place[order] = np.arange(len(texts), dtype=np.int32)
    return Classes(place[ids], given[order].tolist())


def _is_nested(labels: Any) -> bool:
    """Whether these are lists of lists; text is no list."""
    return isinstance(labels, Sequence) and any(
        isinstance(row, Sequence | np.ndarray) and not isinstance(row, str) for row in labels
    )


def _several(labels: Any, shape: tuple[int, int]) -> Classes:
    """The classes of any number of labels an image, from [images, classes]."""
    member = _members(labels)
    if member.ndim != 2 or len(member) != shape[0] or not member.shape[1]:
        raise ValueError(
            f"labels must be [images, classes] for the {shape[0]} images of values, shape {shape}, "
            f"got shape {member.shape}"
        )
    if not member.any():
        raise ValueError(f"labels must hold one at least, got none in shape {member.shape}")
    names: list[Any] = list(range(member.shape[1]))
    order = np.arange(member.shape[1])
    if isinstance(labels, pd.DataFrame):
        texts = [str(name) for name in labels.columns]
        if len({*texts}) < len(texts):
            raise ValueError(f"labels must have a column for each class once, got {texts}")
        order = np.array(sorted(range(len(texts)), key=texts.__getitem__))
        names = labels.columns[order].tolist()
    distinct, rows = np.unique(member[:, order], axis=0, return_inverse=True)
    given = [tuple(np.flatnonzero(row).tolist()) for row in distinct]
    sets, numbers = LabelSets.of(given, len(names))
    return Classes(np.array(numbers, np.int32)[rows.ravel()], names, sets)


def _members(labels: Any) -> npt.NDArray[np.bool_]:
    """Whether each image has each class, from booleans or from 0 and 1."""
    if hasattr(labels, "toarray"):
        labels = labels.toarray()
    if isinstance(labels, pd.DataFrame) and labels.shape[1]:
        if labels.isna().any(axis=None):
            raise ValueError("labels must not be missing, got some in [images, classes]")
        labels = labels.to_numpy(np.result_type(*(_stored(dtype) for dtype in labels.dtypes)))
    try:
        found = _as_array(labels)
    except ValueError:
        raise ValueError(
            "labels must be [images, classes] of booleans, got lists of different lengths"
        ) from None
    if found.dtype.kind not in "biu":
        raise ValueError(f"labels must be [images, classes] of booleans, got {found.dtype}")
    if found.dtype.kind != "b" and not np.isin(found, (0, 1)).all():
        other = found[(found != 0) & (found != 1)][0]
        raise ValueError(f"labels must be [images, classes] of booleans, got {other}")
    return found.astype(np.bool_)


def _comparable(labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same labels, of a type that numpy can sort; refuses all that is no name."""
    if labels.dtype.kind in "iub":
        return labels
    if labels.dtype.kind not in "OUT":
        raise ValueError(f"labels must be strings, integers or booleans, got {labels.dtype}")
    items = labels.tolist()
    for row, label in enumerate(items):
        if pd.api.types.is_scalar(label) and pd.isna(label):
            raise ValueError(f"labels must not be missing, got {label} for image {row}")
        if isinstance(label, str) and not label.strip():
            raise ValueError(f"labels must not be empty, got {label!r} for image {row}")
    for kind in (str, bool, int):
        if all(isinstance(label, kind) for label in items):
            return np.array(items, object if kind is str else kind)
    kinds = ", ".join(sorted({type(label).__name__ for label in items}))
    raise ValueError(f"labels must all be strings, or all integers or booleans, got {kinds}")


# -- ids -----------------------------------------------------------------------------------------


def image_keys(ids: Sequence[str] | None, images: int) -> npt.NDArray[np.uint64]:
    """The two halves of each id: [images, 2]; without ``ids``, those of the numbers from 0.

    ``ids`` are as ``image_id`` of the tables, 32 hexadecimal digits each. Raises ValueError for
    others, and for another number of them.
    """
    if ids is None:
        return np.stack([np.zeros(images, np.uint64), np.arange(images, dtype=np.uint64)], axis=1)
    given = list(ids)
    if len(given) != images:
        raise ValueError(f"ids must be one for each of the {images} images, got {len(given)}")
    for row, text in enumerate(given):
        if not _is_id(text):
            raise ValueError(
                f"ids must be {_ID_DIGITS} hexadecimal digits, as image_id of the tables, "
                f"got {text!r} for image {row}"
            )
    return np.frombuffer(bytes.fromhex("".join(given)), ">u8").reshape(-1, 2).astype(np.uint64)


def _is_id(text: object) -> bool:
    return isinstance(text, str) and len(text) == _ID_DIGITS and not set(text) - _HEX


_HEX: Final = frozenset("0123456789abcdefABCDEF")
