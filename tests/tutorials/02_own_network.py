"""Tutorial 2: write a network of your own, look into it, and train it in a loop of your own.

    python tests/tutorials/02_own_network.py

The data are again scikit-learn's digits, this time by hand.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

import jaxcnn
from jaxcnn.spec import Act, BatchNorm, Conv, Dense, GlobalPool, Graph, Identity, add, seq


# A network is a value: layers put together by `seq` (one after the other) and `add`, `mul` or `concat` (branches of one
# input). There is no class to derive from and no `forward` to write. A network of your own is a function that returns
# such a value; `width` is an ordinary argument.
def block(width: int) -> Graph:
    """Two convolutions and a shortcut (He and others 2015)."""
    body = seq(conv1=Conv(width), bn1=BatchNorm(), relu=Act(), conv2=Conv(width), bn2=BatchNorm())
    return add(body, Identity(), then=Act())


def tiny_resnet(classes: int = 10, width: int = 8) -> Graph:
    stem = seq(conv=Conv(width), bn=BatchNorm(), relu=Act())
    wider = seq(conv=Conv(2 * width, stride=2), bn=BatchNorm(), relu=Act())
    return seq(
        stem=stem, block1=block(width), wider=wider, block2=block(2 * width), mean=GlobalPool(), fc=Dense(classes)
    )


# Nothing has been computed and no array exists yet. The value can be compared, hashed (so it is a static argument of
# `jax.jit`) and printed: what it prints is Python that builds it again.
net = tiny_resnet()
assert net == tiny_resnet() and hash(net) == hash(tiny_resnet())
assert net != tiny_resnet(width=16)
assert eval(repr(net), vars(jaxcnn.spec)) == net

# Shapes, parameters and costs follow from the spec and the shape of one image, (height, width, channels).
shape = (8, 8, 1)
assert jaxcnn.output_shape(net, shape) == (10,)
print(jaxcnn.summary(net, shape))

# `init` draws the arrays: `{path: {name: array}}`, where a path is the names on the way to the layer. Every function of
# JAX on trees works on them.
params, batch_stats = jaxcnn.init(net, jax.random.key(0), shape)
assert params["block1.conv1"]["kernel"].shape == (3, 3, 8, 8)  # height, width, channels in, channels out
assert jaxcnn.parameter_count(params) == sum(array.size for array in jax.tree.leaves(params)) == 7298

# A spec that cannot work says so, and where, as soon as it meets a shape.
try:
    jaxcnn.init(seq(conv=Conv(4), fc=Dense(10)), jax.random.key(0), shape)
except ValueError as error:
    complaint = "\n".join([str(error), *error.__notes__])
    assert "put Flatten or GlobalPool before it" in complaint and "fc" in complaint
    print(complaint)

# The data: 1,797 digits of 8x8 pixels from 0 to 16, every fifth held out.
digits = load_digits()
images, labels = jnp.asarray(digits.images[..., None] / 16, jnp.float32), jnp.asarray(digits.target)
held_out = np.arange(len(labels)) % 5 == 0
train_images, train_labels = images[~held_out], labels[~held_out]

# `fit` of the first tutorial would train this network as well (`python train.py --network my_file:tiny_resnet`). But
# `apply` is a pure function, so a loop of your own is short. In training, `apply` returns the new running averages of
# BatchNorm; you carry them along, as you carry the parameters.
optimizer = optax.adam(1e-2)


def loss(params, batch_stats, images, labels):
    logits, batch_stats = jaxcnn.apply(net, params, batch_stats, images, train=True)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), batch_stats


@jax.jit
def step(params, batch_stats, opt_state, images, labels):
    (value, batch_stats), gradients = jax.value_and_grad(loss, has_aux=True)(params, batch_stats, images, labels)
    updates, opt_state = optimizer.update(gradients, opt_state, params)
    return optax.apply_updates(params, updates), batch_stats, opt_state, value


random = np.random.default_rng(0)
opt_state = optimizer.init(params)
for epoch in range(4):
    order = random.permutation(len(train_labels))
    for start in range(0, len(order) - 63, 64):
        batch = order[start : start + 64]
        params, batch_stats, opt_state, value = step(
            params, batch_stats, opt_state, train_images[batch], train_labels[batch]
        )
    print(f"epoch {epoch + 1}: loss {value:.3f}")

# In evaluation BatchNorm uses the running averages, and the second result is the statistics as they were.
logits, _ = jaxcnn.apply(net, params, batch_stats, images[held_out])
accuracy = np.mean(np.argmax(logits, axis=-1) == labels[held_out])
print(f"{accuracy:.1%} of {held_out.sum()} held-out digits are read correctly")
assert accuracy > 0.9

# Every named activation on the way can be had, by its path or by a pattern.
maps = jaxcnn.features(net, params, batch_stats, images[:1], ["stem", "block?"])
assert {path: maps[path].shape for path in maps} == {
    "stem": (1, 8, 8, 8),
    "block1": (1, 8, 8, 8),
    "block2": (1, 4, 4, 16),
}

# Where to read on: 03_weights.py; jaxcnn/spec/README.md (all layers, and how to add one), jaxcnn/zoo/README.md (59
# networks as they are written), jaxcnn/readings/README.md (what can be asked of a spec).
