"""What lies under an output: the store, Parquet parts, receipts, definitions, the lock."""
