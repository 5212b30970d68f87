"""What the pages are put together from: cards, small drawings, tables, names of files."""
