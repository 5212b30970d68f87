"""How well classifiers and single features find classes: splits, precision, intervals."""
