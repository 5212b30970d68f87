"""The content of each kind of page; the templates lay it out."""
