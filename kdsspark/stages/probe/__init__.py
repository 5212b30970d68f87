"""Stage ``probe``: linear classifiers on all, on relevant and on discretised features."""
