"""Manifests: which images of which classes they list, and what is refused."""

import datetime
import gzip
import math
from decimal import Decimal
from pathlib import Path

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kdsspark.config import ImageDataset
from kdsspark.datasets.layouts import images
from kdsspark.datasets.left_out import LeftOut
from kdsspark.errors import ConfigError
from tests.listed import AWKWARD, left_out, pairs, refusal, rows, touch, versions


def manifest(path: Path | str, content: str | bytes | None = None) -> ImageDataset:
    if content is not None:
        data = content.encode() if isinstance(content, str) else content
        Path(path).write_bytes(data)
    return ImageDataset(name="birds", path=str(path), layout="manifest")


@pytest.mark.parametrize("name", ["list.csv", "list.CSV"])
def test_a_manifest_of_csv(tmp_path: Path, name: str) -> None:
    text = 'path,label\n1.jpg,a\n"sub/with, comma.png","b, ""c"""\n./x/../2.jpg,1\nno-suffix,NA\n'
    assert rows(manifest(tmp_path / name, text)) == [
        ("1.jpg", f"{tmp_path}/1.jpg", "a"),
        ("2.jpg", f"{tmp_path}/2.jpg", "1"),
        ("no-suffix", f"{tmp_path}/no-suffix", "NA"),
        ("sub/with, comma.png", f"{tmp_path}/sub/with, comma.png", 'b, "c"'),
    ]


@pytest.mark.parametrize(
    "content",
    [
        "path,label\n1.jpg,a\n2.jpg,b\n",
        "path,label\r\n1.jpg,a\r\n2.jpg,b\r\n",
        "path,label\n1.jpg,a\n2.jpg,b",
        "\N{BYTE ORDER MARK}path,label\n1.jpg,a\n\n2.jpg,b\n",
        "split,label,path\ntrain,a,1.jpg\n,b,2.jpg\n",
        'path,"label"\n"1.jpg",a\n2.jpg,"b"\n',
    ],
)
def test_manifests_that_say_the_same(tmp_path: Path, content: str) -> None:
    expected = [("1.jpg", "a"), ("2.jpg", "b")]
    assert pairs(manifest(tmp_path / "list.csv", content)) == expected
    zipped = gzip.compress(content.encode())
    assert pairs(manifest(tmp_path / "list.csv.gz", zipped)) == expected


def test_labels_may_hold_any_text(tmp_path: Path) -> None:
    labels = [*AWKWARD, "two\nlines", "007", "1.50", "true", "2024-01-01", " spaced ", "a/b"]
    quoted = ['"' + label.replace('"', '""') + '"' for label in labels]
    lines = [f"{number:02d}.jpg,{label}\n" for number, label in enumerate(quoted)]
    dataset = manifest(tmp_path / "list.csv", "path,label\n" + "".join(lines))
    assert [label for _, label in pairs(dataset)] == labels


def test_other_columns_may_hold_anything(tmp_path: Path) -> None:
    # Far enough apart (3 MB) that a reader of blocks has made up its mind about the column.
    lines = "".join(f"{number}.jpg,a,{number},{'-' * 1000}\n" for number in range(3000))
    dataset = manifest(tmp_path / "list.csv", f"path,label,note,pad\n{lines}x.jpg,b,late,\n")
    assert sum(len(table) for table in images(dataset, LeftOut())) == 3001


def test_lines_may_break_within_values_anywhere(tmp_path: Path) -> None:
    pad = '"' + "more, and\n" * 1000 + '"'
    lines = "".join(f"{number}.jpg,a,{pad}\n" for number in range(300))  # 3 MB: several blocks
    dataset = manifest(tmp_path / "list.csv", f"path,label,pad\n{lines}")
    assert [path for path, _ in pairs(dataset)] == sorted(f"{n}.jpg" for n in range(300))


def test_paths_may_be_relative_absolute_or_urls(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    text = (
        "path,label\n../images/1.jpg,a\n"
        f"{tmp_path}/lists/2.jpg,a\n/elsewhere/3.jpg,b\nfile:///elsewhere/4.jpg,b\n"
        "s3://bucket/5.jpg,c\nmemory://x/6 7.jpg,c\n"
    )
    assert rows(manifest(tmp_path / "lists/list.csv", text)) == sorted([
        ("../images/1.jpg", f"{tmp_path}/images/1.jpg", "a"),
        ("2.jpg", f"{tmp_path}/lists/2.jpg", "a"),
        ("/elsewhere/3.jpg", "/elsewhere/3.jpg", "b"),
        ("/elsewhere/4.jpg", "/elsewhere/4.jpg", "b"),
        ("s3://bucket/5.jpg", "s3://bucket/5.jpg", "c"),
        ("memory://x/6 7.jpg", "memory://x/6 7.jpg", "c"),
    ])  # fmt: skip


def test_manifests_on_other_file_systems(tmp_path: Path) -> None:
    root = f"memory://{tmp_path.name}/lists"
    text = b"path,label\nsub/1.jpg,a\nfile:///elsewhere/2.jpg,b\n"
    fsspec.filesystem("memory").pipe_file(f"{root}/list.csv", text)
    assert rows(manifest(f"{root}/list.csv")) == [
        ("file:///elsewhere/2.jpg", "file:///elsewhere/2.jpg", "b"),
        ("sub/1.jpg", f"{root}/sub/1.jpg", "a"),
    ]


def test_the_version_of_a_manifests_local_file_changes_with_it(tmp_path: Path) -> None:
    dataset = manifest(tmp_path / "list.csv", "path,label\n1.jpg,a\n")
    absent = versions(dataset)
    touch(tmp_path, "1.jpg")
    assert versions(dataset) != absent


@pytest.mark.parametrize("image", ["1.jpg", "local:///elsewhere/1.jpg"])
def test_where_a_manifest_has_versions_they_are_what_counts(tmp_path: Path, image: str) -> None:
    dataset = manifest(tmp_path / "list.csv", f"version,path,label\nv1,{image},a\n")
    assert versions(dataset) == ["v1"]
    touch(tmp_path, "1.jpg")
    assert versions(dataset) == ["v1"]
    manifest(tmp_path / "list.csv", f"path,label,version\n{image},a,v2\n")
    assert versions(dataset) == ["v2"]


def test_versions_on_other_file_systems(tmp_path: Path) -> None:
    root = f"memory://{tmp_path.name}/lists"
    store = fsspec.filesystem("memory")
    store.pipe_file(f"{root}/1.jpg", b"there, but not asked for its state")
    text = (
        "path,label,version\n1.jpg,a,v1\n2.jpg,a,\ns3://bucket/3.jpg,a,v3\ns3://bucket/4.jpg,a,\n"
    )
    store.pipe_file(f"{root}/list.csv", text.encode())
    assert versions(manifest(f"{root}/list.csv")) == ["v1", "", "v3", ""]
    store.pipe_file(f"{root}/list.csv", b"path,label\n1.jpg,a\ns3://bucket/3.jpg,a\n")
    assert versions(manifest(f"{root}/list.csv")) == ["", ""]


def test_an_empty_version_is_as_none(tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg", "2.jpg")
    plain = versions(manifest(tmp_path / "plain.csv", "path,label\n1.jpg,a\n2.jpg,a\n"))
    assert len(plain) == 2
    assert all(plain)
    text = 'path,label,version\n1.jpg,a,\n2.jpg,a,""\n'
    assert versions(manifest(tmp_path / "list.csv", text)) == plain
    path = tmp_path / "list.parquet"
    assert versions(parquet(path, ["1.jpg", "2.jpg"], ["a", "a"], [None, ""])) == plain


def test_versions_may_hold_any_text(tmp_path: Path) -> None:
    texts = [*AWKWARD, "two\nlines", "007", "1.50", "NA", "null", "2024-01-01", " spaced "]
    quoted = ['"' + text.replace('"', '""') + '"' for text in texts]
    lines = [f"{number:02d}.jpg,a,{text}\n" for number, text in enumerate(quoted)]
    dataset = manifest(tmp_path / "list.csv", "path,label,version\n" + "".join(lines))
    assert versions(dataset) == texts


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (pa.array(["007", "é"]), ["007", "é"]),
        (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
        (pa.array([b"a", b"b"]), ["a", "b"]),
        (pa.array([7, 2**62]), ["7", "4611686018427387904"]),
        (pa.array([0.5, 0.25]), ["0.5", "0.25"]),
        (pa.array([Decimal("1.50"), Decimal("2.00")]), ["1.50", "2.00"]),
        (pa.array([datetime.date(2026, 1, 2)] * 2), ["2026-01-02"] * 2),
    ],
)  # fmt: skip
def test_versions_of_any_type_are_taken_as_text(
    tmp_path: Path, values: pa.Array, texts: list[str]
) -> None:
    assert versions(parquet(tmp_path / "list.parquet", ["1", "2"], ["a", "a"], values)) == texts


def test_versions_that_are_times_differ_by_microseconds(tmp_path: Path) -> None:
    time = datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)
    times = pa.array([time, time + datetime.timedelta(microseconds=1)])
    first, second = versions(parquet(tmp_path / "l.parquet", ["1", "2"], ["a", "a"], times))
    assert first != second


def test_of_a_folder_only_some_files_may_have_versions(tmp_path: Path) -> None:
    parquet(tmp_path / "list" / "part-0.parquet", ["s3://b/1"], ["a"])
    parquet(tmp_path / "list" / "part-1.parquet", ["s3://b/2"], ["a"], [7])
    parquet(tmp_path / "list" / "part-2.parquet", ["s3://b/3"], ["a"], ["x"])
    assert versions(manifest(tmp_path / "list")) == ["", "7", "x"]


def parquet(
    path: Path,
    paths: list[str | None],
    labels: pa.Array | list[object],
    versions: pa.Array | list[object] | None = None,
) -> ImageDataset:
    path.parent.mkdir(exist_ok=True)
    columns = {"label": labels, "extra": [[1]] * len(paths), "path": paths}
    if versions is not None:
        columns["version"] = versions
    pq.write_table(pa.table(columns), path)
    return manifest(path)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (pa.array(["a", "b"]), ["a", "b"]),
        (pa.array([3, 10], pa.int64()), ["3", "10"]),
        (pa.array([3, 10], pa.uint8()), ["3", "10"]),
        (pa.array(["a", "b"], pa.large_string()), ["a", "b"]),
        (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
    ],
)
def test_a_manifest_of_parquet(tmp_path: Path, labels: pa.Array, names: list[str]) -> None:
    dataset = parquet(tmp_path / "list.parquet", ["1.jpg", "s/2.jpg"], labels)
    assert rows(dataset) == [
        ("1.jpg", f"{tmp_path}/1.jpg", names[0]),
        ("s/2.jpg", f"{tmp_path}/s/2.jpg", names[1]),
    ]


def test_a_manifest_may_be_a_folder_of_parquet(tmp_path: Path) -> None:
    parquet(tmp_path / "list" / "part-0.parquet", ["1.jpg"], ["a"])
    parquet(tmp_path / "list" / "part-1.parquet", ["2.jpg"], ["b"])
    touch(tmp_path, "list/_SUCCESS")
    found = rows(manifest(tmp_path / "list"))
    assert found == [("1.jpg", f"{tmp_path}/1.jpg", "a"), ("2.jpg", f"{tmp_path}/2.jpg", "b")]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("path,class\n1.jpg,a\n", "must have the columns path and label, got path, class"),
        ("path;label\n1.jpg;a\n", "must have the columns path and label, got path;label"),
        ("1.jpg,a\n2.jpg,b\n", "must have the columns path and label, got 1.jpg, a"),
        ("path,label\n1.jpg,a\n2.jpg,\n", "row 3: label must not be empty"),
        ("path,label\n1.jpg,a\n,b\n", "row 3: path must not be empty"),
        ("path,label\n1.jpg, \n", "row 2: label must not be empty"),
        ("path,label\n1.jpg,\u00a0\u3000\n", "row 2: label must not be empty"),
        ("path,label\n\t,a\n", "row 2: path must not be empty"),
        ("path,label,label\n1.jpg,a,b\n", "must have one column label, got 2"),
        ("path,path,label\n1.jpg,2.jpg,b\n", "must have one column path, got 2"),
        ("path,label,version,version\n1.jpg,a,1,2\n", "must have one column version, got 2"),
        ("path,label\n1.jpg,a\nC:\\2.jpg,a\n", "row 3: path must be a path of this machine or a"),
        ("path,label\ns3:/b/1.jpg,a\n", "row 2: path must have two slashes after s3:, got"),
        ("path,label\n1.jpg,a\n2.jpg\n", "cannot be read: CSV parse error"),
        ('path,label\n1.jpg,a\n2.jpg,"b\n', "must end every quoted value, got an open quote"),
        ("", "cannot be read: Empty CSV file"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", r"must be UTF-8, got line 1 with b'\x89PNG'"),
        ("path,label\n1.jpg,a\n".encode("utf-16"), "must be UTF-8, got UTF-16"),
        (b"path,label\n1.jpg,\xe9t\xe9\n", r"must be UTF-8, got line 2 with b'\xe9t\xe9'"),
        (b"path,label\n1.jpg,a\n\xe9.jpg,b\n", r"must be UTF-8, got line 3 with b'\xe9.jpg,b'"),
        (b"path,label,\xe9t\xe9\n1.jpg,a,b\n", r"must be UTF-8, got line 1 with b'\xe9t\xe9'"),
    ],
)
def test_a_manifest_of_csv_is_refused(tmp_path: Path, content: str | bytes, words: str) -> None:
    path = tmp_path / "list.csv"
    line = refusal(manifest(path, content))
    assert line.startswith(f"manifest {path} ")
    assert words in line


@pytest.mark.parametrize("cut", [3, 20, -8, -20])
def test_a_zipped_manifest_that_is_cut_off_is_refused(tmp_path: Path, cut: int) -> None:
    lines = "".join(f"{number}.jpg,a\n" for number in range(1000))
    zipped = gzip.compress(f"path,label\n{lines}".encode())
    path = tmp_path / "list.csv.gz"
    assert refusal(manifest(path, zipped[:cut])).startswith(f"manifest {path} cannot be read: ")


def test_the_row_of_an_empty_label_is_counted_through_the_whole_file(tmp_path: Path) -> None:
    lines = "".join(f"{number}.jpg,a,{'-' * 1000}\n" for number in range(3000))  # several blocks
    dataset = manifest(tmp_path / "list.csv", f"path,label,pad\n{lines}last.jpg,,\n")
    assert refusal(dataset).endswith("row 3002: label must not be empty")


def test_a_manifest_of_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.parquet"
    assert "row 2: label must not be empty" in refusal(parquet(path, ["1.jpg", "2"], ["a", None]))
    assert "row 1: path must not be empty" in refusal(parquet(path, [None, "2"], ["a", "b"]))
    assert "label must be one name, or" in refusal(parquet(path, ["1.jpg"], [["a"]]))
    assert "cannot be read: " in refusal(parquet(path, ["1.jpg"], ["a"], [["v1"]]))
    assert "row 2: label must not be empty" in refusal(parquet(path, ["1", "2"], [1.0, math.nan]))
    assert "row 2: label must not be empty" in refusal(parquet(path, ["1", "2"], ["a", " \t"]))
    assert "row 1: path must have two slash" in refusal(parquet(path, ["s3:/b/1.jpg"], ["a"]))
    pq.write_table(pa.table({"path": ["1.jpg"], "class": ["a"]}), path)
    assert "must have the columns path and label, got path, class" in refusal(manifest(path))
    for content in (b"not Parquet", b"PAR1"):
        expected = f"manifest {path} must be CSV, named .csv or .csv.gz, or Parquet: "
        assert refusal(manifest(path, content)).startswith(expected)


@pytest.mark.parametrize("column", ["path", "label", "version"])
def test_a_manifest_of_parquet_with_a_column_twice_is_refused(tmp_path: Path, column: str) -> None:
    names = ["path", "label", "version", column]
    pq.write_table(pa.table([["1.jpg"]] * 4, names=names), tmp_path / "list.parquet")
    line = refusal(manifest(tmp_path / "list.parquet"))
    assert line == f"manifest {tmp_path}/list.parquet must have one column {column}, got 2"


def test_other_columns_may_come_twice(tmp_path: Path) -> None:
    table = pa.table([["1.jpg"], ["a"], [1], [2]], names=["path", "label", "x", "x"])
    pq.write_table(table, tmp_path / "list.parquet")
    assert pairs(manifest(tmp_path / "list.parquet")) == [("1.jpg", "a")]
    assert pairs(manifest(tmp_path / "l.csv", "path,label,x,x\n1.jpg,a,1,2\n")) == [("1.jpg", "a")]


@pytest.mark.parametrize("index", [pd.RangeIndex(2), pd.Index([7, 3]), pd.Index(["x", "y"])])
@pytest.mark.parametrize("named", [False, True])
def test_manifests_that_pandas_writes(tmp_path: Path, index: pd.Index, named: bool) -> None:
    frame = pd.DataFrame({"path": ["1.jpg", "2.jpg"], "label": ["a", "b"]}).set_index(index)
    if named:  # the paths themselves are the index
        frame = frame.set_index("path")
    frame.to_csv(tmp_path / "list.csv")
    frame.to_parquet(tmp_path / "list.parquet")
    for name in ("list.csv", "list.parquet"):
        assert pairs(manifest(tmp_path / name)) == [("1.jpg", "a"), ("2.jpg", "b")]


def test_paths_of_other_tools_are_those_of_the_same_image(tmp_path: Path) -> None:
    touch(tmp_path, "sub/a b.jpg")
    whole = f"{tmp_path}/sub/a b.jpg"
    for path in (
        "sub\\a b.jpg",
        ".\\x\\..\\sub\\a b.jpg",
        f"file:{whole}",
        f"file://{whole}".replace(" ", "%20"),
    ):
        found = rows(manifest(tmp_path / "list.csv", f"path,label\n{path},x\n"))
        assert found == [("sub/a b.jpg", whole, "x")]
    (tmp_path / "lists").mkdir()
    for path in ("..\\sub\\a b.jpg", "../sub/a b.jpg"):
        found = rows(manifest(tmp_path / "lists/list.csv", f"path,label\n{path},x\n"))
        assert found == [("../sub/a b.jpg", whole, "x")]


def test_parts_of_keys_may_be_empty(tmp_path: Path) -> None:
    root = f"memory://{tmp_path.name}/lists"
    text = b"path,label\na//1.jpg,x\na/1.jpg,y\n"
    fsspec.filesystem("memory").pipe_file(f"{root}/list.csv", text)
    assert rows(manifest(f"{root}/list.csv")) == [
        ("a//1.jpg", f"{root}/a//1.jpg", "x"),
        ("a/1.jpg", f"{root}/a/1.jpg", "y"),
    ]


def test_labels_that_are_no_text_are_refused(tmp_path: Path) -> None:
    offsets = pa.array([0, 3], pa.int32()).buffers()[1]
    labels = pa.StringArray.from_buffers(1, offsets, pa.py_buffer(b"\xe9t\xe9"))
    line = refusal(parquet(tmp_path / "list.parquet", ["1.jpg"], labels))
    assert line.endswith("cannot be read: Invalid UTF8 sequence in input")


def test_hidden_parts_of_a_folder_of_parquet_are_counted(tmp_path: Path) -> None:
    parquet(tmp_path / "list" / "part-0.parquet", ["1.jpg"], ["a"])
    touch(tmp_path, "list/_SUCCESS", "list/.part-0.parquet.crc", "list/_temporary/0/1")
    assert left_out(manifest(tmp_path / "list")) == [(None, "", "hidden", 3)]
    assert left_out(manifest(tmp_path / "list" / "part-0.parquet")) == []


@pytest.mark.parametrize("name", ["absent.parquet", "absent.csv"])
def test_a_manifest_that_is_not_there_is_refused(tmp_path: Path, name: str) -> None:
    for url in (f"{tmp_path}/{name}", f"memory://{tmp_path.name}/{name}"):
        with pytest.raises(ConfigError) as caught:
            list(images(manifest(url), LeftOut()))
        assert str(caught.value) == (
            f"datasets.birds.path: must be a readable CSV or Parquet file, got {url}"
        )
