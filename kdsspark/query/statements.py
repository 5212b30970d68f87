"""SQL text into statements, as Spark reads them (driver).

The lexer is Spark's own, in its JVM: it knows the quotes, escapes and comments of the version that
runs the statements, and it is there wherever Spark is.
"""

from __future__ import annotations

import re
from typing import Any, Final

from kdsspark.errors import ConfigError

_QUOTES: Final = ("'", '"', "`")
_SURROGATES: Final = re.compile("[\ud800-\udfff]")


def split(session: Any, text: str) -> tuple[list[str], str]:
    """The statements that a ``;`` ends, and the text after the last one.

    Spark's own lexer finds them: a ``;`` in quotes or in a comment ends nothing, and none ends
    anything after a quote that is not closed yet.
    """
    kinds = session._jvm.org.apache.spark.sql.catalyst.parser.SqlBaseLexer
    tokens = _tokens(session, text)

    def found(kind: int) -> Any:
        return tokens.getTokens(0, tokens.size() - 1, kind) or ()

    unclosed = (t.getStartIndex() for t in found(kinds.UNRECOGNIZED) if t.getText() in _QUOTES)
    until = min(unclosed, default=len(text))
    ends = [start for t in found(kinds.SEMICOLON) if (start := t.getStartIndex()) < until]
    begins = [0, *(end + 1 for end in ends)]
    return [text[a:b] for a, b in zip(begins, ends, strict=False)], text[begins[-1] :]


def is_empty(session: Any, text: str) -> bool:
    """Whether there is nothing but comments and white space."""
    return bool(_tokens(session, text).LA(1) == session._jvm.org.antlr.v4.runtime.Token.EOF)


def _tokens(session: Any, text: str) -> Any:
    """The tokens of Spark's lexer (a ``CommonTokenStream``), comments among them."""
    antlr = session._jvm.org.antlr.v4.runtime
    parser = session._jvm.org.apache.spark.sql.catalyst.parser
    characters = antlr.CharStreams.fromString(_SURROGATES.sub("?", text))
    lexer = parser.SqlBaseLexer(parser.UpperCaseCharStream(characters))
    lexer.removeErrorListeners()  # they print
    tokens = antlr.CommonTokenStream(lexer)
    tokens.fill()
    return tokens


def refuse_other_bytes(statement: str) -> None:
    """Raise ConfigError for bytes that are not UTF-8; Python keeps them as surrogates."""
    try:
        statement.encode("utf-8", "surrogateescape").decode()
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode()[-20:]
        raise ConfigError(
            f"statements must be UTF-8, got byte 0x{error.object[error.start]:02x} after {before!r}"
        ) from error
