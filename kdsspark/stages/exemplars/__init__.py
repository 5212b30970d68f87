"""Stage ``exemplars``: the images, and the patches of them, that excite each unit most."""
