"""Tutorial 4: surgery: cut a network, fold its BatchNorms away, replace a part, edit an activation as it runs.

    python tests/tutorials/04_surgery.py

A spec is a value, so a changed network is another value. Arrays belong to paths, so those of the layers that stay fit
the new network as they are.
"""

import jax
import jax.numpy as jnp
import numpy as np

import jaxcnn
from jaxcnn import rewrite
from jaxcnn.spec import Act, BatchNorm, Conv, Dense, GlobalPool, Identity, add, seq, steps

shape = (8, 8, 1)
body = seq(conv1=Conv(8), bn1=BatchNorm(), relu=Act(), conv2=Conv(8), bn2=BatchNorm())
net = seq(
    stem=seq(conv=Conv(8), bn=BatchNorm(), relu=Act()), block=add(body, Identity(), then=Act()),
    mean=GlobalPool(), fc=Dense(10),
)  # fmt: skip
params, fresh = jaxcnn.init(net, jax.random.key(0), shape)
images = jax.random.normal(jax.random.key(1), (16, *shape))
# Training steps would move the running averages; one pass over a batch in training mode does so here.
_, batch_stats = jaxcnn.apply(net, params, fresh, images, train=True)
logits, _ = jaxcnn.apply(net, params, batch_stats, images)

# Cut. The network up to a path: its output is the activation there. What that does not need is gone, and the arrays of
# the other layers are simply not looked at.
trunk = rewrite.cut(net, "block")
cut_output, _ = jaxcnn.apply(trunk, params, batch_stats, images)
np.testing.assert_array_equal(cut_output, jaxcnn.features(net, params, batch_stats, images, "block")["block"])
assert jaxcnn.macs(trunk, shape) == jaxcnn.macs(net, shape) - 8 * 10  # all but the dense layer

# Fold. In evaluation BatchNorm is a multiplication and an addition for every channel, and the convolution before it can
# do both. The result has no BatchNorm that follows a convolution, and computes the same up to rounding: the new kernels
# are rounded once to float32, so logits of size 1 differ in the sixth digit.
folded, folded_params, folded_stats = rewrite.fold_batch_norm(net, params, batch_stats)
assert not folded_stats and "stem.bn" not in folded_params
assert "bias" not in params["stem.conv"] and "bias" in folded_params["stem.conv"]
folded_logits, _ = jaxcnn.apply(folded, folded_params, folded_stats, images)
np.testing.assert_allclose(folded_logits, logits, atol=1e-5)
before, after = jaxcnn.parameter_count(params), jaxcnn.parameter_count(folded_params)
print(f"folding: {before} parameters become {after}; the logits move by {np.abs(folded_logits - logits).max():.1e}")

# Replace. Another part at a path: here the block loses its second half. Nothing has to be done for the layers around.
shallow = rewrite.replace(net, "block", seq(conv1=Conv(8), bn1=BatchNorm(), relu=Act()))
shallow_logits, _ = jaxcnn.apply(shallow, params, batch_stats, images)  # "block.conv1" still has its arrays
assert shallow_logits.shape == (16, 10) and not np.allclose(shallow_logits, logits)

# A rule for every layer: `map_leaves` calls a function with each path and layer. Here every ReLU becomes a GELU.
smooth = rewrite.map_leaves(net, lambda path, leaf: Act("gelu") if leaf == Act("relu") else leaf)
assert [step.leaf.name for step in steps(smooth) if isinstance(step.leaf, Act)] == ["gelu"] * 3
assert rewrite.map_leaves(net, lambda path, leaf: leaf) == net

# The last layer for other classes; its arrays are new, all others are kept.
assert rewrite.head(net) == "fc"
three = rewrite.replace_head(net, classes=3)
new, _ = jaxcnn.init(three, jax.random.key(2), shape)
three_logits, _ = jaxcnn.apply(three, params | {"fc": new["fc"]}, batch_stats, images)
assert three_logits.shape == (16, 3)

# Freeze. The same network, whose BatchNorms in the stem keep their averages in training, and the paths of the layers
# that are not to be trained.
frozen, paths = rewrite.freeze(net, ["stem"])
assert paths == ("stem.conv", "stem.bn", "stem.relu")
_, stats = jaxcnn.apply(frozen, params, batch_stats, 2 * images, train=True)
np.testing.assert_array_equal(stats["stem.bn"]["mean"], batch_stats["stem.bn"]["mean"])
assert not np.allclose(stats["block.bn1"]["mean"], batch_stats["block.bn1"]["mean"])


# Edit. `forward` can change activations as the network runs. Here one channel after the other is set to zero, to see
# what it does to the logits.
def without_channel(channel: int):
    return lambda maps: maps.at[..., channel].set(0)


print("without a channel of the stem, the logits move by")
for channel in range(8):
    run = jaxcnn.forward(net, params, batch_stats, images, edits={"stem": without_channel(channel)})
    print(f"  {channel}: {jnp.abs(run.output - logits).mean():.3f}")
    assert not run.activations["stem"][..., channel].any()

# It is differentiable like anything else: the gradient of a logit with respect to an inner activation comes from adding
# zeros there. For the mean over places followed by a dense layer it is known: the kernel, divided by the 64 places.
zeros = jnp.zeros((16, 8, 8, 8))
gradient = jax.grad(
    lambda d: (
        jaxcnn.forward(net, params, batch_stats, images, edits={"block": lambda maps: maps + d}).output[:, 3].sum()
    )
)(zeros)
np.testing.assert_allclose(gradient[0, 0, 0], params["fc"]["kernel"][:, 3] / 64, rtol=1e-5)  # a few float32 roundings

# Where to read on: 05_receptive_field.py; jaxcnn/rewrite/README.md (all rewritings, and how to add one).
