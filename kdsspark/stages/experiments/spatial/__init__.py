"""What the experiments with maps share: images read again, files of maps, vectors made of them."""
