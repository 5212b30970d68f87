"""Versions are told also of what is shipped without metadata."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace

import numpy as np
import pytest

import kdsspark
from kdsspark import versions


def test_versions_are_those_of_the_packages() -> None:
    found = versions.versions()
    assert found["numpy"] == np.__version__
    assert found["kdsspark"] == kdsspark.__version__
    assert found["python"] == platform.python_version()


def test_a_package_without_metadata_is_asked_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(versions, "version", missing)
    monkeypatch.setitem(sys.modules, "pyspark", SimpleNamespace(__version__="9.8"))
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    found = versions.versions()
    assert found["pyspark"] == "9.8"
    assert found["torch"] == "unknown"
    assert found["kdsspark"] == kdsspark.__version__
