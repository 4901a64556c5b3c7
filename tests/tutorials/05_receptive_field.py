"""Tutorial 5: where a unit looks: the closed form, the exact box, and the gradient that proves them.

    python tests/tutorials/05_receptive_field.py

No data and no training are needed.
"""

import jax
import jax.numpy as jnp
import numpy as np

import jaxcnn
from jaxcnn.spec import Act, Conv, Identity, Pool, add, seq

# The receptive field of a unit is the part of the image on which its value depends. One dimension is enough to see how
# it grows. A layer of kernel K and stride S, over units that are `jump` pixels apart and see `size` pixels each, has
#
#     size' = size + (K - 1) jump,      jump' = jump S.
#
# So a stride makes every later kernel count for more (Dumoulin and Visin 2016, section 1).
layers = [(3, 1), (3, 1), (2, 2), (3, 1), (2, 2), (3, 1)]  # (kernel, stride)
size = jump = 1
for kernel, stride in layers:
    size, jump = size + (kernel - 1) * jump, jump * stride
assert (size, jump) == (20, 4)

# The same layers as a network. `receptive_field` reads the spec and computes nothing else: no array is made.
net = seq(
    conv1=Conv(4), relu1=Act(), conv2=Conv(4), pool1=Pool("avg", 2), conv3=Conv(4), pool2=Pool("avg", 2), conv4=Conv(4)
)
shape = (32, 32, 1)
fields = jaxcnn.receptive_field(net, shape)
for path, field in fields.items():
    print(f"{path:6} sees {field.size:2} pixels, its units are {field.jump} apart, the first centered at {field.start}")
assert (fields["conv4"].size, fields["conv4"].jump) == (size, jump)

# That is the textbook's answer, the same for all units, as if the image had no border. For one unit, the exact box of
# pixels: (top, bottom), (left, right), the second of each not included.
unit = (1, 6)  # row and column, near a corner
box = jaxcnn.receptive_field(net, shape, "conv4", unit)
first, last = fields["conv4"].interval(unit[0])
assert box[0] == (max(first, 0), min(last, 32)) and last - first == size

# Now the proof. The gradient of one unit with respect to the image is zero wherever the unit does not look. Kernels of
# positive numbers keep paths from cancelling, and average pools let every pixel through; so where the unit does look,
# the gradient is positive (all images are positive too, which keeps every ReLU open).
drawn, batch_stats = jaxcnn.init(net, jax.random.key(0), shape)
params = jax.tree.map(jnp.abs, drawn)
image = jnp.ones((1, *shape))


def value(image, net=net, params=params, unit=unit):
    return jaxcnn.apply(net, params, batch_stats, image)[0][0, *unit].sum()


seen = np.asarray(jax.grad(value)(image))[0, :, :, 0] > 0
(top, bottom), (left, right) = box
expected = np.zeros((32, 32), bool)
expected[top:bottom, left:right] = True
np.testing.assert_array_equal(seen, expected)
print(f"unit {unit} of conv4 sees rows {top} to {bottom - 1} and columns {left} to {right - 1}; so does its gradient")

# How much it sees of what is another question. The effective field is much smaller: most of the gradient comes from the
# middle, as more paths lead there (Luo and others 2016).
weight = np.asarray(jax.grad(lambda x: value(x, unit=(4, 4)))(image))[0, :, :, 0]
(top, bottom), (left, right) = jaxcnn.receptive_field(net, shape, "conv4", (4, 4))
quarter = (bottom - top) // 4
middle = weight[top + quarter : bottom - quarter, left + quarter : right - quarter].sum() / weight.sum()
print(f"the middle half of the box, a quarter of its area, has {middle:.0%} of the gradient")
assert middle > 0.25

# Where branches meet, the field is their union. With a shortcut the gradient is larger in the middle, and the box is
# that of the longer branch.
shortcut = add(seq(conv1=Conv(1), conv2=Conv(1)), Identity())
assert jaxcnn.receptive_field(shortcut, shape, "", (16, 16)) == [(14, 19), (14, 19)]

# It works for every network of the zoo. The units of a ResNet-50's last stage see further than the image reaches, and
# the box of one in the middle is the whole image.
resnet = jaxcnn.create("resnet50")
assert jaxcnn.receptive_field(resnet, (224, 224, 3))["layer4"].size == 427
assert jaxcnn.receptive_field(resnet, (224, 224, 3), "layer4", (3, 3)) == [(0, 224), (0, 224)]

# Where to read on: 06_ledger.py; jaxcnn/readings/README.md; `jaxcnn summary resnet50` shows the field of every layer.
