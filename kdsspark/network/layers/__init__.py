"""What a network can be read at: tables of layers, lists of modules, sizes."""
