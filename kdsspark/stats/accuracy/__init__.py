"""How well classifiers, features and distances find classes: splits, precision, intervals."""
