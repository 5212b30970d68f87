"""The only place that imports pyspark: the session, the work units and the stages made of them."""
