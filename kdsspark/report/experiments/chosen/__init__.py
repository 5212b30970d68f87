"""The experiments on chosen images in the report (Zeiler & Fergus 2013, figures 5, 7, table 1)."""
