"""Packaging of kdsspark; lint, type and test settings are in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
version = re.search(r'__version__ = "([^"]+)"', (here / "kdsspark/__init__.py").read_text())
assert version is not None

setup(
    name="kdsspark",
    version=version[1],
    description="Signed Kolmogorov-Smirnov distances of convolutional features, on Spark",
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=find_packages(include=["kdsspark", "kdsspark.*"]),
    package_data={
        "kdsspark": ["py.typed", "__init__.pyi"],
        "kdsspark.report": ["**/*.html", "**/*.css", "**/*.js"],
    },
    install_requires=[
        "pyspark>=4.0,<5",
        "torch>=2.4",
        "torchvision>=0.19",
        "numpy>=1.26",
        "pyarrow>=18",
        "fsspec>=2024.6",
        "duckdb>=1.1",
        "cachetools>=6",  # the first that reads a missing value once for all threads
        "pandas>=2.2,<3",  # pyspark 4 warns about 3
        "scipy>=1.12",
        "numba>=0.62",
        "pydantic>=2.6,<3",
        "PyYAML>=6",
        "Jinja2>=3.1",
        "matplotlib>=3.8",
        "safetensors>=0.4",
        "Pillow>=11.3",  # the first with AVIF
        "prometheus-client>=0.20",
        "tqdm>=4.66",
    ],
    extras_require={
        "s3": ["s3fs>=2024.6"],
        "probe": ["scikit-learn>=1.5"],
        "sklearn": ["scikit-learn>=1.6"],
        "heif": ["pillow-heif>=1.1"],
        "timm": ["timm>=1.0.9"],
        "hf": ["transformers>=5,<6"],
        "open_clip": ["open_clip_torch>=3,<4"],
        "test": [
            "pytest>=8",
            "pytest-xdist>=3.6",
            "hypothesis>=6.100",
            "imagecodecs>=2025.11.11",
            "pillow-heif>=1.1",
            "tifffile>=2025.5",
            "ruff>=0.6",
            "mypy>=1.11",
            "import-linter>=2.14",
            "types-PyYAML",
            "timm>=1.0.9",
            "transformers>=5,<6",
            "open_clip_torch>=3,<4",
            "pandas-stubs>=2.2",
            "pyspark[connect]>=4.0,<5",
            "aiobotocore[boto3]>=2.13",  # the boto3 that fits the s3fs
            "moto[server]>=5",
            "opencv-python-headless>=4.10,<5",  # 5 cannot read Caffe's models
            "scikit-learn>=1.6",
            "setuptools>=70.1",  # builds the wheel that the tests look into
        ],
    },
    entry_points={"console_scripts": ["kdsspark=kdsspark.cli:main"]},
)
