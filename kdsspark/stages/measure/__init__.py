"""Stage ``measure``: histograms and distances of every feature for every class."""
