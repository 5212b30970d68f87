"""Statements in, results out: formats, encodings, mistakes on the way."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from kdsspark.errors import ConfigError
from kdsspark.output import parquet
from kdsspark.output.store import Store
from kdsspark.query import console
from kdsspark.query.console import Console
from kdsspark.tables import IMAGES

NAMES = ["it's", 'say "no", please', "<script>é</script>", "a/b\\c=d", "two\nlines\x1b[31m", "日本"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """An output that has an index and nothing else."""
    found = Store.at(str(tmp_path_factory.mktemp("sql")))
    rows = [
        {"image_id": f"{i:032x}", "uri": f"/x/{i}", "class_id": i, "class_name": n, "version": "1"}
        for i, n in enumerate(NAMES)
    ]
    table = pa.Table.from_pylist(rows, schema=IMAGES.schema)
    parquet.write(found, f"{IMAGES.partition('set')}/part-0.parquet", table, IMAGES.schema)
    return found


def result(spark: SparkSession, store: Store, statements: str, form: str = "table") -> str:
    out = io.StringIO()
    Console(spark, store, form, out).run(statements)
    return out.getvalue()


def test_csv_and_json_give_names_unchanged(spark: SparkSession, store: Store) -> None:
    query = "SELECT class_name, class_id FROM classes ORDER BY class_id"
    rows = list(csv.reader(io.StringIO(result(spark, store, query, "csv"), newline="")))
    assert rows == [["class_name", "class_id"], *([n, str(i)] for i, n in enumerate(NAMES))]
    lines = result(spark, store, query, "json").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"class_name": n, "class_id": i} for i, n in enumerate(NAMES)
    ]


def test_a_table_is_aligned_and_harmless_to_terminals(spark: SparkSession, store: Store) -> None:
    lines = result(spark, store, "SELECT class_name, class_id * 1000 AS n FROM classes ORDER BY n")
    width = max(len("two\\nlines\\x1b[31m"), *map(len, NAMES))
    shown = [name.replace("\n", "\\n").replace("\x1b", "\\x1b") for name in NAMES]
    want = [f"{name:<{width}}  {1000 * i:>4}" for i, name in enumerate(shown)]
    assert lines.splitlines() == [f"{'class_name':<{width}}     n", *want]


VALUES = (
    "SELECT 1D / 3 AS third, CAST('NaN' AS DOUBLE) AS nan, CAST(NULL AS INT) AS nothing, "
    "true AS yes, array(1, NULL) AS list, named_struct('a', CAST('inf' AS DOUBLE)) AS object"
)


def test_values_of_every_kind(spark: SparkSession, store: Store) -> None:
    table = result(spark, store, VALUES).splitlines()
    assert table[0].split() == ["third", "nan", "nothing", "yes", "list", "object"]
    assert table[1].split(maxsplit=4) == [
        "0.333333",
        "nan",
        "NULL",
        "true",
        '[1, null]  {"a": null}',
    ]
    (row,) = list(csv.DictReader(io.StringIO(result(spark, store, VALUES, "csv"))))
    assert float(row["third"]) == 1 / 3
    assert (row["nan"], row["nothing"], row["yes"]) == ("nan", "", "true")
    assert (row["list"], row["object"]) == ("[1, null]", '{"a": null}')
    want = {"third": 1 / 3, "nan": None, "nothing": None, "yes": True, "list": [1, None]}
    assert json.loads(result(spark, store, VALUES, "json")) == want | {"object": {"a": None}}


def test_a_long_table_says_that_it_is_cut(spark: SparkSession, store: Store) -> None:
    lines = result(spark, store, "SELECT id FROM range(1001)").splitlines()
    assert len(lines) == 1002
    assert lines[-1] == "(the first 1,000 rows; --format csv or json has all)"
    assert len(result(spark, store, "SELECT id FROM range(1000)").splitlines()) == 1001
    assert len(result(spark, store, "SELECT id FROM range(1001)", "csv").splitlines()) == 1002


def test_no_rows_are_a_header_alone(spark: SparkSession, store: Store) -> None:
    assert result(spark, store, "SELECT dataset FROM images WHERE false") == "dataset\n"
    assert result(spark, store, "SELECT dataset FROM images WHERE false", "json") == ""


def test_several_statements_share_a_session_and_stop_at_a_mistake(
    spark: SparkSession, store: Store
) -> None:
    statements = "CREATE TEMPORARY VIEW two AS SELECT 2 AS x; SELECT x + 1 AS y FROM two;"
    assert result(spark, store, statements) == "y\n3\n"
    out = io.StringIO()
    with pytest.raises(ConfigError, match="nowhere"):
        Console(spark, store, "csv", out).run("SELECT 1 AS a; SELECT * FROM nowhere; SELECT 2")
    assert out.getvalue() == "a\n1\n"


def test_statements_of_a_pipe_go_on_after_a_mistake(
    spark: SparkSession, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    out = io.StringIO()
    statements = "SELECT 1 AS a;\nSELEC 2; SELECT * FROM ks;\nSELECT 3 AS b;; -- the end\n"
    assert Console(spark, store, "csv", out).read(io.StringIO(statements)) == 2
    assert out.getvalue() == "a\n1\nb\n3\n"
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("kdsspark: [PARSE_SYNTAX_ERROR]")
    assert second.startswith(
        "kdsspark: ks must be made before it is asked for, got no ks in file://"
    )
    assert Console(spark, store, "csv", out).read(io.StringIO("SELECT 1 AS a")) == 0


@pytest.mark.parametrize(
    "nothing", ["", " ;\n", "-- a; comment\n", "/* one /* in another */; */;;"]
)
def test_nothing_and_comments_are_no_statement(
    spark: SparkSession, store: Store, nothing: str
) -> None:
    assert result(spark, store, nothing) == ""
    assert result(spark, store, f"{nothing}SELECT 1 AS a; {nothing}", "csv") == "a\n1\n"
    with pytest.raises(ConfigError, match="UNCLOSED_BRACKETED_COMMENT"):
        result(spark, store, f"{nothing}/* open")


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_at_a_terminal_lines_are_read_until_a_semicolon(
    spark: SparkSession,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    typed = iter(
        ["SELECT", "1 AS a;", "SELEC;", "SELECT 'forgotten", KeyboardInterrupt, "SELECT 2 AS b;"]
    )
    prompts = []

    def answer(prompt: str) -> str:
        prompts.append(prompt)
        line = next(typed, EOFError)
        if isinstance(line, str):
            return line
        raise line

    monkeypatch.setattr("builtins.input", answer)
    out = io.StringIO()
    assert Console(spark, store, "csv", out).read(_Terminal()) == 0
    assert out.getvalue() == "a\n1\nb\n2\n"
    assert [p.strip() for p in prompts] == [
        "kdsspark>", "...>", "kdsspark>", "kdsspark>", "...>", "kdsspark>", "kdsspark>",
    ]  # fmt: skip
    assert capsys.readouterr().err.startswith("kdsspark: [PARSE_SYNTAX_ERROR]")


def test_execute_prints_and_returns_the_code(
    spark: SparkSession,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert console.execute(spark, store, "SELECT COUNT(*) AS n FROM images", "csv") == 0
    _pipe(monkeypatch, b"SELEC")
    assert console.execute(spark, store, None, "csv") == 2
    assert capsys.readouterr().out == "n\n6\n"


def _pipe(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    """Standard input as it is in the C locale of a shell that has no other."""
    source = io.TextIOWrapper(io.BytesIO(data), "ascii", "surrogateescape")
    monkeypatch.setattr("sys.stdin", source)


@pytest.mark.parametrize(
    "data", ["SELECT 'é日😀' AS x;".encode(), "\ufeffSELECT 'é日😀' AS x".encode()]
)
def test_standard_input_is_utf8_with_or_without_a_mark(
    spark: SparkSession,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    data: bytes,
) -> None:
    _pipe(monkeypatch, data)
    assert console.execute(spark, store, None, "csv") == 0
    assert capsys.readouterr().out == "x\né日😀\n"


@pytest.mark.parametrize(
    ("data", "got"),
    [
        ("SELECT 'café'".encode("cp1252"), 'byte 0xe9 after "SELECT \'caf"'),
        ("SELECT 1 AS a".encode("utf-16"), "byte 0xff after ''"),
        (b"SELECT '\xc3", 'byte 0xc3 after "SELECT \'"'),
    ],
)
def test_other_bytes_are_one_line_and_the_other_statements_run(
    spark: SparkSession,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    data: bytes,
    got: str,
) -> None:
    _pipe(monkeypatch, b"SELECT 1 AS a; " + data)
    assert console.execute(spark, store, None, "csv") == 2
    out, err = capsys.readouterr()
    assert out == "a\n1\n"
    assert err.startswith("kdsspark: statements must be UTF-8, got byte 0x")
    assert err.count("\n") == 1
    if not data.startswith(b"\xff"):
        assert err.endswith(f"{got}\n".replace('after "SELECT', 'after " SELECT'))
    with pytest.raises(ConfigError) as caught:  # as an argument of the command line
        console.execute(spark, store, data.decode(errors="surrogateescape"), "csv")
    assert str(caught.value) == f"statements must be UTF-8, got {got}"


@pytest.mark.parametrize("form", console.FORMATS)
@pytest.mark.parametrize(
    ("statement", "line"),
    [
        ("SELECT array(class_id)[4] FROM images", "[INVALID_ARRAY_INDEX] The index 4 is out"),
        ("SELECT CAST(class_name AS INT) FROM images", "[CAST_INVALID_INPUT] The value '"),
        ("SELECT 1 / (class_id - class_id) FROM images", "[DIVIDE_BY_ZERO] Division by zero"),
    ],
)
def test_mistakes_that_spark_finds_while_rows_are_fetched(
    spark: SparkSession, store: Store, form: str, statement: str, line: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        result(spark, store, statement, form)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_the_output_is_left_as_it_is(spark: SparkSession, store: Store) -> None:
    before = {p: p.stat().st_mtime_ns for p in Path(store.path()).rglob("*")}
    result(spark, store, "SELECT * FROM images; DROP VIEW images")
    assert {p: p.stat().st_mtime_ns for p in Path(store.path()).rglob("*")} == before
