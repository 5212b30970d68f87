"""Stage ``embed``: images, or ready-made embeddings, to one row of lists an image."""
