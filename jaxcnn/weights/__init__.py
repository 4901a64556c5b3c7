"""Weights in and out: those of PyTorch and Keras, as parameters of a spec and back, and the published ones by name."""
