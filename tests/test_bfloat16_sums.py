"""Gradients of what many places share are sums; in bfloat16 too, they are taken in float32."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn.spec import Bias, Conv, Dense, GlobalPool, Graph, Identity, Scale, Upsample, mul, seq

SHAPE = (16, 16, 3)
NETS: dict[str, Graph] = {
    "bias": seq(layer=Bias()),
    "bias per place": seq(layer=Bias(per_place=True)),
    "scale": seq(layer=Scale(1.5, trainable=True)),
    "bias of a convolution": seq(layer=Conv(4, 1, bias=True)),
    "gate": seq(layer=Conv(3, 1, bias=True), gate=mul(Identity(), seq(mean=GlobalPool(keepdims=True)))),
    "upsample": seq(layer=Conv(3, 1, 8, bias=True), up=Upsample(8)),
    "dense": seq(layer=Dense(4, bias=True)),
}


@pytest.mark.every(2)
@pytest.mark.parametrize("name", NETS)
def test_gradients_in_bfloat16_are_those_in_float32_rounded(name):
    """What the sums add up is rounded to 8 bits, each number some times by at most 2^-8 of it, and so is the result;
    adding up in bfloat16 would leave out whatever is less than 1/256 of what is there."""
    net = NETS[name]
    rng = np.random.default_rng(0)
    shape = (SHAPE[-1],) if name == "dense" else SHAPE
    x = jnp.asarray(0.5 + rng.random((64, *shape)), jnp.bfloat16)  # all is positive: nothing cancels
    params, stats = jaxcnn.init(net, jax.random.key(0), shape)
    params = jax.tree.map(lambda value: jnp.abs(value).astype(jnp.bfloat16), params)
    y, _ = jaxcnn.apply(net, params, stats, x)
    weights = jnp.asarray(0.5 + rng.random(y.shape), jnp.bfloat16)

    def gradients(dtype):
        inner, images, outer = jax.tree.map(lambda value: value.astype(dtype), (params, x, weights))

        def loss(params):
            return jnp.sum((jaxcnn.apply(net, params, stats, images)[0] * outer).astype(jnp.float32))

        return jax.jit(jax.grad(loss))(inner)["layer"]

    narrow, exact = gradients(jnp.bfloat16), gradients(jnp.float32)
    for parameter in narrow:
        difference = np.abs(np.asarray(narrow[parameter], float) - np.asarray(exact[parameter]))
        assert difference.max() <= 4 * 2**-8 * np.abs(exact[parameter]).max(), parameter
