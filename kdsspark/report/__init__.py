"""Figures and the HTML page, drawn from the finished tables."""
