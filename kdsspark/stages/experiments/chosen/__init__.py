"""Experiments that put chosen images through the network again: figures 5 and 7 and table 1 of
Zeiler & Fergus 2013.

Their work items are images, or parts of images, and not layers of embeddings.
"""
