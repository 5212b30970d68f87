"""Which shard an image belongs to: decided alike after crashes, in any order, for its life."""

import hashlib
from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kdsspark.stages.embed.shards import sharding
from kdsspark.stages.embed.shards import state as shards
from kdsspark.tables import IMAGES

Images = dict[str, tuple[str, str]]  # image id -> version and class name
Held = dict[str, str]  # image id -> shard
KEY = "0123456789abcdef"
light = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])

ids = st.sampled_from([f"{number:02x}" for number in range(40)])
versions = st.sampled_from(["v1", "v2"])
images = st.dictionaries(ids, st.tuples(versions, st.sampled_from(["a", "b", "c"])), min_size=1)
sizes = st.integers(1, 12)


def assigned(images: pa.Table, held: pa.Table, size: int, key: str) -> sharding.Assigned:
    return sharding.assign(images, shards.places(images["image_id"], held), size, key)


def assigned_rows(images: pa.Table, held: pa.Table, size: int, key: str) -> pa.Table:
    """All rows with their shard, shard after shard."""
    found = [
        rows.append_column("shard", pa.repeat(name, len(rows)))
        for name, rows in assigned(images, held, size, key).pieces()
    ]
    return pa.concat_tables(found)


def wanted(images: Images) -> pa.Table:
    classes = sorted({name for _, name in images.values()})
    rows = [(i, f"/{i}", classes.index(name), name, v) for i, (v, name) in images.items()]
    columns = [list(column) for column in zip(*rows, strict=True)]
    return pa.table(dict(zip(IMAGES.schema.names, columns, strict=True)), schema=IMAGES.schema)


def table_of(held: Held) -> pa.Table:
    columns = [pa.array(list(values), pa.string()) for values in (held, held.values())]
    return pa.Table.from_arrays(columns, ["image_id", "shard"])


def assign(images: Images, held: Held, size: int, key: str = KEY) -> Held:
    """Image id -> shard; every image is in exactly one."""
    rows = assigned_rows(wanted(images), table_of(held), size, key)
    assert set(rows.column_names) == {*IMAGES.schema.names, "shard"}
    pairs = list(zip(rows["image_id"].to_pylist(), rows["shard"].to_pylist(), strict=True))
    assert Counter(i for i, _ in pairs) == Counter(list(images))
    assert [(s, i) for i, s in pairs] == sorted((s, i) for i, s in pairs)
    return dict(pairs)


def split(images: Images, held: Held, size: int) -> dict[str, tuple[str, list[dict[str, Any]]]]:
    """Shard -> its digest and rows."""
    found = list(sharding.split(assigned(wanted(images), table_of(held), size, KEY)))
    assert all(shard.n_images == len(rows) > 0 for shard, rows in found)
    assert all(rows.column_names == IMAGES.schema.names for _, rows in found)
    assert len({shard.name for shard, _ in found}) == len(found)
    return {shard.name: (shard.digest, rows.to_pylist()) for shard, rows in found}


# -- assign -------------------------------------------------------------------------------------


def test_images_in_files_are_cut_in_the_order_of_those_files() -> None:
    uris = [f"s3://b/{part}.parquet#{row}" for part in "ba" for row in range(12)]
    uris += [f"/t/x.TAR#{512 * member}:100:a/#{member}.jpg" for member in range(12)]
    uris += [f"/plain/y.tar#/{n}.jpg" for n in range(6)]
    ids = [hashlib.blake2b(uri.encode(), digest_size=16).hexdigest() for uri in uris]
    rows = wanted({i: ("v", "a") for i in ids})
    rows = rows.set_column(rows.column_names.index("uri"), "uri", pa.array(uris))
    rows = assigned_rows(rows, table_of({}), 6, KEY)
    found = dict(zip(rows["uri"].to_pylist(), rows["shard"].to_pylist(), strict=True))
    runs = [uris[start : start + 6] for start in range(0, len(uris), 6)]
    assert all(len({found[uri] for uri in run}) == 1 for run in runs)
    assert len(set(found.values())) == len(runs)


@light
@given(images, images, sizes, sizes)
def test_held_images_stay_whatever_their_version_and_others_follow_in_order(
    before: Images, now: Images, size_before: int, size: int
) -> None:
    held = assign(before, {}, size_before)
    found = assign(now, held, size)
    assert all(found[i] == held[i] for i in now if i in held)
    fresh = sorted(set(now) - set(before))
    runs = [found[i] for n, i in enumerate(fresh) if n == 0 or found[i] != found[fresh[n - 1]]]
    assert len(runs) == len(set(runs))  # the images of a shard stand together
    began_new = [shard not in held.values() for shard in runs]
    assert began_new == sorted(began_new)  # old shards are filled before new ones begin


@light
@given(images, images, sizes, sizes)
def test_small_shards_are_filled_and_new_ones_are_not_small(
    before: Images, now: Images, size_before: int, size: int
) -> None:
    held = {i: shard for i, shard in assign(before, {}, size_before).items() if i in now}
    at_first, found = Counter(held.values()), assign(now, held, size)
    counts = Counter(found.values())
    small = {shard for shard, n in at_first.items() if 2 * n < size}
    grown = {shard for shard, n in at_first.items() if counts[shard] > n}
    new = set(counts) - set(at_first)
    assert grown <= small
    assert all(2 * counts[shard] < 3 * size for shard in new | grown)
    assert all(counts[shard] >= size for shard in small) or not new
    assert all(2 * counts[shard] >= size for shard in new) or (len(new) == 1 and not small)


@light
@given(images, images, sizes, sizes, st.data())
def test_a_crash_leaves_the_rest_of_the_plan(
    before: Images, now: Images, size_before: int, size: int, data: st.DataObject
) -> None:
    held = assign(before, {}, size_before)
    plan = assign(now, held, size)
    done = data.draw(st.sets(st.sampled_from(sorted(set(plan.values())))))
    unchanged = {i: s for i, s in held.items() if s not in done}
    finished = {i: shard for i, shard in plan.items() if shard in done}
    assert assign(now, unchanged | finished, size) == plan


@light
@given(images, sizes, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(images: Images, size: int, random: Any) -> None:
    held = {i: "shard-old" for i, (_, name) in images.items() if name == "a"}
    expected = split(images, held, size)
    shuffled, held_items = list(images.items()), list(held.items())
    random.shuffle(shuffled)
    random.shuffle(held_items)
    assert split(dict(shuffled), dict(held_items), size) == expected


def numbered(*numbers: int) -> Images:
    return {f"{number:02d}": ("v", "c") for number in numbers}


def test_nothing_held_and_everything_held() -> None:
    images = numbered(*range(10))
    plan = assign(images, {}, 4)
    assert sorted(Counter(plan.values()).values()) == [2, 4, 4]
    assert assign(images, plan, 3) == plan


def test_a_few_images_a_night_do_not_make_a_shard_a_night() -> None:
    held: Held = {}
    counts = []
    for night in range(1, 200):
        held = assign(numbered(*range(3 * night)), held, 50)
        counts.append(Counter(held.values()))
    assert max(map(len, counts)) == len(counts[-1]) <= 3 * 199 / 25
    assert all(sum(2 * n < 50 for n in count.values()) <= 1 for count in counts)


def test_an_image_found_twice_stays_where_it_was_found_first() -> None:
    twice = pa.table({"image_id": ["00", "01", "00"], "shard": ["s1", "s1", "s0"]})
    found = assigned_rows(wanted(numbered(0, 1)), twice, 4, KEY)
    assert found["shard"].to_pylist() == ["s1", "s1"]


def test_the_name_of_a_shard_tells_what_it_was_made_of_and_how() -> None:
    first = {"1": ("v1", "a"), "2": ("v1", "a")}
    names = [
        set(assign(images, {}, 9, key).values())
        for images, key in (
            (first, KEY),
            ({"1": ("v1", "b"), "2": ("v1", "a")}, KEY),  # another class is no other shard
            ({"1": ("v2", "a"), "2": ("v1", "a")}, KEY),
            ({"1": ("v1", "a")}, KEY),
            (first, "fedcba9876543210"),
        )
    ]
    assert names[0] == names[1]
    assert len({*names[0], *names[2], *names[3], *names[4]}) == 4
    assert all(name.startswith(shards.name_prefix(KEY)) for some in names[:4] for name in some)


def test_a_name_that_is_taken_is_not_given_again() -> None:
    """A shard may hold nothing of what it was named by, and that may come back."""
    (name,) = set(assign(numbered(1, 2), {}, 2).values())
    held = {"03": name, "04": name}
    found = assign(numbered(1, 2, 3, 4), held, 2)
    assert found["03"] == found["04"] == name
    assert found["01"] == found["02"] != name


def test_rows_in_many_chunks_are_assigned_alike() -> None:
    images = {f"{number:02d}": ("v", "c") for number in range(30)}
    held = {f"{number:02d}": "shard-old" for number in range(0, 30, 3)}
    whole, known = wanted(images), table_of(held)
    pieces = pa.concat_tables([whole.slice(row, 1) for row in reversed(range(30))])
    known_pieces = pa.concat_tables([known.slice(row, 1) for row in reversed(range(10))])
    found = assigned_rows(pieces, known_pieces, 4, KEY)
    assert found.to_pylist() == assigned_rows(whole, known, 4, KEY).to_pylist()


@pytest.mark.parametrize("at_once", [1, 7, 12, 100])
def test_rows_are_copied_some_at_a_time(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    images = wanted({f"{number:02d}": ("v", "c") for number in range(30)})
    expected = assigned_rows(images, table_of({}), 4, KEY)
    monkeypatch.setattr(sharding, "_ROWS_AT_ONCE", at_once)
    assert assigned_rows(images, table_of({}), 4, KEY).to_pylist() == expected.to_pylist()


def test_many_images_are_assigned_soon() -> None:
    n = 40_000
    names = [
        hashlib.blake2b(str(number).encode(), digest_size=16).hexdigest() for number in range(n)
    ]
    images = {name: ("v", "c") for name in names}
    held = {name: f"shard-{number // 500}" for number, name in enumerate(names[: n // 2])}
    counts = Counter(Counter(assign(images, held, 512).values()).values())
    assert counts == {500: 40, 512: 38, 512 + 32: 1}  # 20,000 new images: 39 * 512 and 32 more


# -- split and its digests ----------------------------------------------------------------------


@light
@given(images, images, sizes)
def test_digests_change_exactly_where_the_rows_do(before: Images, now: Images, size: int) -> None:
    first = split(before, {}, size)
    second = split(now, assign(before, {}, size), size)
    keys = ("image_id", "version", "class_id", "class_name")
    for name in set(first) & set(second):
        contents = [[[row[k] for k in keys] for row in plan[name][1]] for plan in (first, second)]
        assert (first[name][0] == second[name][0]) == (contents[0] == contents[1])


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        ({}, set()),
        ({"00": None}, {0}),  # removed
        ({"05": ("v2", "b")}, {1}),  # changed, and stays
        ({"05": ("v1", "d")}, {1}),  # moved to a class at the end
        ({"x": ("v1", "d")}, set()),  # a class at the end moves no other
        ({"x": ("v1", "a")}, set()),
        ({"x": ("v1", "aa")}, {1, 2}),  # a class in between moves those after it: b, c
        ({"00": None, "01": None, "02": None, "03": None}, {1, 2}),  # the first class is gone
    ],
)
def test_what_a_change_touches(change: dict[str, Any], changed: set[int]) -> None:
    """Twelve images, four each of the classes a, b, c; one shard for each class."""
    before: Images = {f"{n:02d}": ("v1", "abc"[n // 4]) for n in range(12)}
    first = split(before, {}, 4)
    order = sorted(first, key=lambda name: str(first[name][1][0]["image_id"]))
    now = {i: row for i, row in {**before, **change}.items() if row is not None}
    second = split(now, assign(before, {}, 4), 4)
    touched = {
        position
        for position, name in enumerate(order)
        if name in second and second[name][0] != first[name][0]
    }
    assert touched == changed
    fresh = set(now) - set(before)
    assert {row["image_id"] for n in set(second) - set(first) for row in second[n][1]} == fresh


def test_nothing_is_split_into_nothing() -> None:
    empty = IMAGES.schema.empty_table()
    assert list(sharding.split(assigned(empty, table_of({}), 4, KEY))) == []


# -- sizes, files -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_images", "shard_images", "size"),
    [
        (1, 512, 4),
        (256, 512, 4),
        (513, 512, 9),
        (6400, 512, 100),
        (32_768, 512, 512),
        (10**6, 512, 512),
        (10**6, 3, 3),
        (10, 1, 1),
    ],
)
def test_a_small_dataset_is_cut_finer(n_images: int, shard_images: int, size: int) -> None:
    assert sharding.shard_size(n_images, shard_images) == size


def test_ready_made_files_are_shards_with_their_rows_in_order() -> None:
    uris = ["/b#1/x y.parquet#0", "/b#1/x y.parquet#1", "/b#1/x y.parquet#10", "s3://a/é.pq#0"]
    rows = [(f"{9 - n}", uri, 0, "c", "v") for n, uri in enumerate(uris)]
    columns = [list(column) for column in zip(*rows, strict=True)]
    table = pa.table(dict(zip(IMAGES.schema.names, columns, strict=True)), schema=IMAGES.schema)
    found = list(sharding.split(sharding.assign_files(table)))
    assert [rows["uri"].to_pylist() for _, rows in found] == [uris[:3], uris[3:]]
    for (shard, _), path in zip(found, ["/b#1/x y.parquet", "s3://a/é.pq"], strict=True):
        assert shard.name == f"file-{hashlib.blake2b(path.encode(), digest_size=8).hexdigest()}"
