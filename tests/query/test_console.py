"""Statements in, results out: splitting, formats, mistakes on the way."""

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
from kdsspark.output.output import Output
from kdsspark.query import console as sql
from kdsspark.query.console import Console
from kdsspark.tables import IMAGES

NAMES = ["it's", 'say "no", please', "<script>é</script>", "a/b\\c=d", "two\nlines\x1b[31m", "日本"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Output:
    """An output that has an index and nothing else."""
    found = Output.at(str(tmp_path_factory.mktemp("sql")))
    rows = [
        {"image_id": f"{i:032x}", "uri": f"/x/{i}", "class_id": i, "class_name": n, "version": "1"}
        for i, n in enumerate(NAMES)
    ]
    table = pa.Table.from_pylist(rows, schema=IMAGES.schema)
    parquet.write(found, f"{IMAGES.partition('set')}/part-0.parquet", table, IMAGES.schema)
    return found


def result(spark: SparkSession, store: Output, statements: str, form: str = "table") -> str:
    out = io.StringIO()
    Console(spark, store, form, out).run(statements)
    return out.getvalue()


@pytest.mark.parametrize(
    ("text", "complete", "rest"),
    [
        ("SELECT 1", [], "SELECT 1"),
        ("SELECT 1;", ["SELECT 1"], ""),
        (" a ; b;\n;; c", [" a ", " b"], " c"),
        ("SELECT 'a;b', \"c;d\", `e;f`; g", ["SELECT 'a;b', \"c;d\", `e;f`"], " g"),
        (r"SELECT 'it\'s;', 'it''s;'; g", [r"SELECT 'it\'s;', 'it''s;'"], " g"),
        ("a -- b; c\n; d", ["a -- b; c\n"], " d"),
        ("a /* b; \n c; */ d; e", ["a /* b; \n c; */ d"], " e"),
        ("SELECT 'open; \n still", [], "SELECT 'open; \n still"),
        ("a /* open;", [], "a /* open;"),
        ("", [], ""),
    ],
)
def test_statements_end_where_a_semicolon_is_one(text: str, complete: list[str], rest: str) -> None:
    assert sql.split(text) == (complete, rest)


def test_csv_and_json_give_names_unchanged(spark: SparkSession, store: Output) -> None:
    query = "SELECT class_name, class_id FROM classes ORDER BY class_id"
    rows = list(csv.reader(io.StringIO(result(spark, store, query, "csv"), newline="")))
    assert rows == [["class_name", "class_id"], *([n, str(i)] for i, n in enumerate(NAMES))]
    lines = result(spark, store, query, "json").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"class_name": n, "class_id": i} for i, n in enumerate(NAMES)
    ]


def test_a_table_is_aligned_and_harmless_to_terminals(spark: SparkSession, store: Output) -> None:
    lines = result(spark, store, "SELECT class_name, class_id * 1000 AS n FROM classes ORDER BY n")
    width = max(len("two\\nlines\\x1b[31m"), *map(len, NAMES))
    shown = [name.replace("\n", "\\n").replace("\x1b", "\\x1b") for name in NAMES]
    want = [f"{name:<{width}}  {1000 * i:>4}" for i, name in enumerate(shown)]
    assert lines.splitlines() == [f"{'class_name':<{width}}     n", *want]


VALUES = (
    "SELECT 1D / 3 AS third, CAST('NaN' AS DOUBLE) AS nan, CAST(NULL AS INT) AS nothing, "
    "true AS yes, array(1, NULL) AS list, named_struct('a', CAST('inf' AS DOUBLE)) AS object"
)


def test_values_of_every_kind(spark: SparkSession, store: Output) -> None:
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


def test_a_long_table_says_that_it_is_cut(spark: SparkSession, store: Output) -> None:
    lines = result(spark, store, "SELECT id FROM range(1001)").splitlines()
    assert len(lines) == 1002
    assert lines[-1] == "(the first 1,000 rows; --format csv or json has all)"
    assert len(result(spark, store, "SELECT id FROM range(1000)").splitlines()) == 1001
    assert len(result(spark, store, "SELECT id FROM range(1001)", "csv").splitlines()) == 1002


def test_no_rows_are_a_header_alone(spark: SparkSession, store: Output) -> None:
    assert result(spark, store, "SELECT dataset FROM images WHERE false") == "dataset\n"
    assert result(spark, store, "SELECT dataset FROM images WHERE false", "json") == ""


def test_several_statements_share_a_session_and_stop_at_a_mistake(
    spark: SparkSession, store: Output
) -> None:
    statements = "CREATE TEMPORARY VIEW two AS SELECT 2 AS x; SELECT x + 1 AS y FROM two;"
    assert result(spark, store, statements) == "y\n3\n"
    out = io.StringIO()
    with pytest.raises(ConfigError, match="nowhere"):
        Console(spark, store, "csv", out).run("SELECT 1 AS a; SELECT * FROM nowhere; SELECT 2")
    assert out.getvalue() == "a\n1\n"


def test_statements_of_a_pipe_go_on_after_a_mistake(
    spark: SparkSession, store: Output, capsys: pytest.CaptureFixture[str]
) -> None:
    out = io.StringIO()
    console = Console(spark, store, "csv", out)
    assert (
        console.read(io.StringIO("SELECT 1 AS a;\nSELEC 2; SELECT * FROM ks;\nSELECT 3 AS b")) == 2
    )
    assert out.getvalue() == "a\n1\nb\n3\n"
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("kdsspark: [PARSE_SYNTAX_ERROR]")
    assert second.startswith(
        "kdsspark: ks must be made before it is asked for, got no ks in file://"
    )
    assert console.read(io.StringIO("SELECT 1 AS a")) == 0


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_at_a_terminal_lines_are_read_until_a_semicolon(
    spark: SparkSession,
    store: Output,
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
    store: Output,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert sql.execute(spark, store, "SELECT COUNT(*) AS n FROM images", "csv") == 0
    monkeypatch.setattr("sys.stdin", io.StringIO("SELEC"))
    assert sql.execute(spark, store, None, "csv") == 2
    assert capsys.readouterr().out == "n\n6\n"


def test_the_output_is_left_as_it_is(spark: SparkSession, store: Output) -> None:
    before = {p: p.stat().st_mtime_ns for p in Path(store.path()).rglob("*")}
    result(spark, store, "SELECT * FROM images; DROP VIEW images")
    assert {p: p.stat().st_mtime_ns for p in Path(store.path()).rglob("*")} == before
