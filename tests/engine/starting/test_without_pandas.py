import subprocess
import sys

BEFORE = """
import sys
import pyarrow as pa
from kdsspark.engine.starting import without_pandas
"""
AFTER = """
rows = pa.table({"a": pa.array([1.5, None]), "b": pa.repeat("x", 2)})
print("pandas" in sys.modules, rows.to_pylist())
import pandas as pd
print(rows.to_pandas().isna().to_numpy().tolist())
print(pa.array(pd.Series([1.0, float("nan")])).null_count)
"""


def printed(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_arrays_are_made_without_pandas_and_converted_with_it() -> None:
    with_it = printed(BEFORE + AFTER)
    assert with_it[0].startswith("True "), "pyarrow no longer imports pandas: the module may go"
    begun = printed(f"{BEFORE}without_pandas.begin(){AFTER}")
    assert begun == [with_it[0].replace("True", "False", 1), *with_it[1:]]


def test_where_pandas_is_imported_pyarrow_knows_it() -> None:
    found = printed(
        f"import pandas as pd{BEFORE}without_pandas.begin();"
        "print(pa.array(pd.Series([1.0, float('nan')])).null_count)"
    )
    assert found == ["1"]
