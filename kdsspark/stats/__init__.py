"""The method's arithmetic on arrays: numpy, scipy and a compiler only, no files, no Spark."""
