"""Where a statement ends, by the rules of Spark's SQL."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from kdsspark.errors import ConfigError
from kdsspark.query import statements


@pytest.mark.parametrize(
    ("text", "complete", "rest"),
    [
        ("SELECT 1", [], "SELECT 1"),
        ("SELECT 1;", ["SELECT 1"], ""),
        (" a ; b;\n;; c", [" a ", " b", "\n", ""], " c"),
        ("SELECT 'a;b', \"c;d\", `e;f`; g", ["SELECT 'a;b', \"c;d\", `e;f`"], " g"),
        (r"SELECT 'it\'s;', 'it''s;', `a``;`; g", [r"SELECT 'it\'s;', 'it''s;', `a``;`"], " g"),
        (r"SELECT 'a\\'; g", [r"SELECT 'a\\'"], " g"),
        (r"SELECT r'a\'; SELECT R'b\'; g", [r"SELECT r'a\'", r" SELECT R'b\'"], " g"),
        ("a -- b; it's c\n; d", ["a -- b; it's c\n"], " d"),
        ("a -- b \\\n; c\n; d", ["a -- b \\\n; c\n"], " d"),  # the comment goes on
        ("a -- b;", [], "a -- b;"),
        ("a /* b; \n it's c; */ d; e", ["a /* b; \n it's c; */ d"], " e"),
        ("a /* b /* c; */ d; */; e", ["a /* b /* c; */ d; */"], " e"),
        ("SELECT /*+ COALESCE(1) */ 1; b", ["SELECT /*+ COALESCE(1) */ 1"], " b"),
        ("SELECT 'open; \n still", [], "SELECT 'open; \n still"),
        ("a; SELECT `open; \n still", ["a"], " SELECT `open; \n still"),
        ('a; SELECT "open; \n still', ["a"], ' SELECT "open; \n still'),
        ("a /* open;", [], "a /* open;"),
        ("SELECT '😀;', 'é日'; '😀", ["SELECT '😀;', 'é日'"], " '😀"),
        ("SELECT \udce9, 'caf\udce9;'; b", ["SELECT \udce9, 'caf\udce9;'"], " b"),
        ("SELECT ß, 'ß;'; b", ["SELECT ß, 'ß;'"], " b"),  # longer in capitals
        (
            "SELECT CASE WHEN 1 THEN 2 END AS begin; b",
            ["SELECT CASE WHEN 1 THEN 2 END AS begin"],
            " b",
        ),
        ("", [], ""),
    ],
)
def test_statements_end_where_a_semicolon_is_one(
    spark: SparkSession, text: str, complete: list[str], rest: str
) -> None:
    assert statements.split(spark, text) == (complete, rest)


@pytest.mark.parametrize(
    ("text", "empty"),
    [
        *(("", True), (" \n", True), ("-- a", True), ("/* a /* b */ c */ -- d\n", True)),
        *(("SELECT", False), ("-- a\nb", False), ("'", False), ("/* a */ /*+ b */", False)),
    ],
)
def test_comments_are_no_statement(spark: SparkSession, text: str, empty: bool) -> None:
    assert statements.is_empty(spark, text) is empty


@pytest.mark.parametrize(
    ("data", "got"),
    [
        ("SELECT 'café'".encode("cp1252"), 'byte 0xe9 after "SELECT \'caf"'),
        ("SELECT 1".encode("utf-16-le").replace(b"S", b"\xff\xfe", 1), "byte 0xff after ''"),
        (b"'\xc3", 'byte 0xc3 after "\'"'),
        (b"x" * 30 + b"\x80", f"byte 0x80 after '{'x' * 20}'"),
    ],
)
def test_bytes_that_are_not_utf8_are_refused(data: bytes, got: str) -> None:
    with pytest.raises(ConfigError) as caught:
        statements.refuse_other_bytes(data.decode(errors="surrogateescape"))
    assert str(caught.value) == f"statements must be UTF-8, got {got}"
    statements.refuse_other_bytes("SELECT 'é日😀'")
