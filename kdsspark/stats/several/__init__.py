"""The same arithmetic where an image may have several labels, or none."""
