"""Configurations read from files."""

from pathlib import Path

import fsspec
import pytest
import yaml

from kdsspark.config import load, parse
from kdsspark.errors import ConfigError
from tests.config.raw import SMALL, written


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("output: [", "not valid YAML"),
        ("output: a\noutput: b\n", "not valid YAML: key 'output' is given twice"),
        ("networks:\n  - {name: a, name: b}\n", "key 'name' is given twice"),
        ("a: 1\n---\nb: 2\n", "not valid YAML"),
        ("!!python/object/apply:os.getcwd []", "not valid YAML"),
        ("- a\n- b\n", "must be a mapping of keys, got list"),
        ("", "must be a mapping of keys, got NoneType"),
        ("just words", "must be a mapping of keys, got str"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value).startswith(path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_yaml_merges_may_repeat_what_they_override(tmp_path: Path) -> None:
    text = """
    output: out
    networks:
      - &first {name: a, seed: 1}
      - {<<: *first, name: b}
    datasets: [{name: d, path: p}]
    """
    networks = load(written(tmp_path, text)).networks
    assert [(n.name, n.seed) for n in networks] == [("a", 1), ("b", 1)]


@pytest.mark.parametrize("name", ["absent.yaml", ".", "nosuch://study.yaml", "latin.yaml"])
def test_an_unreadable_file_is_a_configuration_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("latin.yaml").write_bytes("output: Stra\xdfe".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"^--config must name a readable file, got "):
        load(name)


def test_a_configuration_may_lie_on_any_file_system_and_begin_with_a_bom() -> None:
    with fsspec.open("memory://conf/study.yaml", "wb") as file:
        file.write(b"\xef\xbb\xbf" + yaml.safe_dump(SMALL).encode())
    assert load("memory://conf/study.yaml") == parse(SMALL)
