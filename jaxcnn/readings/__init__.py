"""What a spec says of a network without running it: cost, table of layers, picture, receptive field."""
