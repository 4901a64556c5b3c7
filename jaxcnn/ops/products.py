"""The three products of a convolution, closed under differentiation.

Forward (cross-correlation, what networks call convolution), for one spatial dimension:

    y[n, p, o] = sum over u, i of  x[n, p*S + u*D - P, i] * h[u, i, o]

Backward, with the gradient g of the loss with respect to y:

    dx[n, a, i] = sum over u, o of  g[n, p, o] * h[u, i, o]     where a = p*S + u*D - P
    dh[u, i, o] = sum over n, p of  x[n, p*S + u*D - P, i] * g[n, p, o]

So dx is the (full) convolution of g, its places spread S apart, with the flipped kernel, summed over the output
channels; dh is the correlation of x with g, the sum over all places that share the weight. All three sum the same
products `x*h*g` over other indices; so each is linear in both arguments, and its own gradients are the other two.

How a product is computed best depends on the shape and the platform: `ways` decides.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from jaxcnn.ops import ways
from jaxcnn.ops.linear import is_zero, linear
from jaxcnn.ops.window import Window


def flip(kernel: Array) -> Array:
    """The kernel reversed along its spatial dimensions."""
    return jnp.flip(kernel, range(kernel.ndim - 2))


@partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def correlate(x: Array, kernel: Array, placed: Window, groups: int) -> Array:
    """y of x (N, *sizes, C) and kernel (*window, C/groups, O): (N, *output, O)."""
    return ways.forward(x, kernel, placed, groups)


@partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def input_gradient(gradient: Array, kernel: Array, placed: Window, groups: int) -> Array:
    """dx of the gradient (N, *output, O) and the kernel: (N, *sizes, C)."""
    return ways.input_gradient(gradient, kernel, placed, groups)


@partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def kernel_gradient(x: Array, gradient: Array, placed: Window, groups: int) -> Array:
    """dh of x and the gradient: (*window, C/groups, O)."""
    return ways.kernel_gradient(x, gradient, placed, groups)


def _exchanged(one, other, product, placed, groups):
    return product(other, one, placed, groups)


def _differentiable(product, to_one, to_other):
    """Let `product` move with each of its arguments, and hand a gradient back to it by another product.

    `to_one` makes the gradient of the first argument of the second and the result's, `to_other` that of the second
    argument of the first and the result's.
    """

    def moving(placed, groups, primals, tangents):
        at = {"placed": placed, "groups": groups}
        (one, other), (along_one, along_other) = primals, tangents
        result = product(one, other, placed, groups)
        moved = []  # the other first: gradients are computed in the opposite order
        if not is_zero(along_other):
            forward, back = partial(product, **at), partial(to_other, **at)
            moved.append(linear(forward, back, [one], [along_other], result))
        if not is_zero(along_one):
            forward, back = partial(_exchanged, product=product, **at), partial(to_one, **at)
            moved.append(linear(forward, back, [other], [along_one], result))
        return result, sum(moved[1:], start=moved[0])

    product.defjvp(moving, symbolic_zeros=True)


_differentiable(correlate, to_one=partial(_exchanged, product=input_gradient), to_other=kernel_gradient)
_differentiable(
    input_gradient, to_one=partial(_exchanged, product=correlate), to_other=partial(_exchanged, product=kernel_gradient)
)
_differentiable(kernel_gradient, to_one=input_gradient, to_other=correlate)
