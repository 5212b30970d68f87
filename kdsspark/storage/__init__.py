"""Files, image listings, image decoding and Parquet parts: pyarrow, fsspec and Pillow only."""
