"""Manifests: which images of which classes they list, and what is refused."""

import datetime
import gzip
from decimal import Decimal
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kdsspark.config import Dataset
from kdsspark.datasets.layouts import images
from kdsspark.errors import ConfigError
from tests.listed import AWKWARD, pairs, refusal, rows, touch, versions


def manifest(path: Path | str, content: str | bytes | None = None) -> Dataset:
    if content is not None:
        data = content.encode() if isinstance(content, str) else content
        Path(path).write_bytes(data)
    return Dataset(name="birds", path=str(path), layout="manifest")


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
    assert sum(len(table) for table in images(dataset)) == 3001


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
) -> Dataset:
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
        ("path,label\n1.jpg,a\n2.jpg\n", "cannot be read: CSV parse error"),
        ("", "cannot be read: Empty CSV file"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "cannot be read: "),
        (b"path,label\n1.jpg,\xff\xfe\n", "cannot be read: "),
    ],
)
def test_a_manifest_of_csv_is_refused(tmp_path: Path, content: str | bytes, words: str) -> None:
    path = tmp_path / "list.csv"
    line = refusal(manifest(path, content))
    assert line.startswith(f"manifest {path} ")
    assert words in line


def test_the_row_of_an_empty_label_is_counted_through_the_whole_file(tmp_path: Path) -> None:
    lines = "".join(f"{number}.jpg,a,{'-' * 1000}\n" for number in range(3000))  # several blocks
    dataset = manifest(tmp_path / "list.csv", f"path,label,pad\n{lines}last.jpg,,\n")
    assert refusal(dataset).endswith("row 3002: label must not be empty")


def test_a_manifest_of_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.parquet"
    assert "row 2: label must not be empty" in refusal(parquet(path, ["1.jpg", "2"], ["a", None]))
    assert "row 1: path must not be empty" in refusal(parquet(path, [None, "2"], ["a", "b"]))
    assert "cannot be read: " in refusal(parquet(path, ["1.jpg"], [["a"]]))
    assert "cannot be read: " in refusal(parquet(path, ["1.jpg"], ["a"], [["v1"]]))
    pq.write_table(pa.table({"path": ["1.jpg"], "class": ["a"]}), path)
    assert "must have the columns path and label, got path, class" in refusal(manifest(path))
    assert "cannot be read: " in refusal(manifest(path, b"not Parquet"))


@pytest.mark.parametrize("name", ["absent.parquet", "absent.csv"])
def test_a_manifest_that_is_not_there_is_refused(tmp_path: Path, name: str) -> None:
    for url in (f"{tmp_path}/{name}", f"memory://{tmp_path.name}/{name}"):
        with pytest.raises(ConfigError) as caught:
            list(images(manifest(url)))
        assert str(caught.value) == (
            f"datasets.birds.path: must be a readable CSV or Parquet file, got {url}"
        )
