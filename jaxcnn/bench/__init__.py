"""How fast the library is beside plain lax, Flax NNX, Keras on JAX and PyTorch: `jaxcnn bench ops` and `bench step`.

Nothing here is imported by `import jaxcnn`; the peers are optional and load only when they are measured.
"""
