"""Numbers in, a picture or a table out. Nothing here knows a network."""
