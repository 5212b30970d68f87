"""What Spark SQL sees of an output: views, the console, catalogs."""
