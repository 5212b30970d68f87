"""Experiments by the distance of images: section 5 of Azizpour et al. 2014."""
