"""Stage ``report``: the tables, queried and drawn."""
