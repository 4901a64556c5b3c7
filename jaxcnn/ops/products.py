"""The three products of a convolution, closed under differentiation.

Forward (cross-correlation, what networks call convolution), for one spatial dimension:

    y[n, p, o] = sum over u, i of  x[n, p*S + u*D - P, i] * h[u, i, o]

Backward, with the gradient g of the loss with respect to y:

    dx[n, a, i] = sum over u, o of  g[n, p, o] * h[u, i, o]     where a = p*S + u*D - P
    dh[u, i, o] = sum over n, p of  x[n, p*S + u*D - P, i] * g[n, p, o]

So dx is the (full) convolution of g, its places spread S apart, with the flipped kernel, summed over the output
channels; dh is the correlation of x with g, the sum over all places that share the weight. All three sum the same
products x*h*g over other indices; so each is linear in both arguments, and its own gradients are the other two.

How a product is computed best depends on the shape and the platform: `ways` decides.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from jaxcnn.ops import ways
from jaxcnn.ops.window import Window


def flip(kernel: Array) -> Array:
    """The kernel reversed along its spatial dimensions."""
    return jnp.flip(kernel, range(kernel.ndim - 2))


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def correlate(x: Array, kernel: Array, placed: Window, groups: int) -> Array:
    """y of x (N, *sizes, C) and kernel (*window, C/groups, O): (N, *output, O)."""
    return ways.forward(x, kernel, placed, groups)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def input_gradient(gradient: Array, kernel: Array, placed: Window, groups: int) -> Array:
    """dx of the gradient (N, *output, O) and the kernel: (N, *sizes, C)."""
    return ways.input_gradient(gradient, kernel, placed, groups)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def kernel_gradient(x: Array, gradient: Array, placed: Window, groups: int) -> Array:
    """dh of x and the gradient: (*window, C/groups, O)."""
    return ways.kernel_gradient(x, gradient, placed, groups)


def _keep(product):
    return lambda one, other, placed, groups: (product(one, other, placed, groups), (one, other))


def _correlate_backward(placed, groups, residuals, gradient):
    x, kernel = residuals
    return input_gradient(gradient, kernel, placed, groups), kernel_gradient(x, gradient, placed, groups)


def _input_gradient_backward(placed, groups, residuals, direction):
    gradient, kernel = residuals
    return correlate(direction, kernel, placed, groups), kernel_gradient(direction, gradient, placed, groups)


def _kernel_gradient_backward(placed, groups, residuals, direction):
    x, gradient = residuals
    return input_gradient(gradient, direction, placed, groups), correlate(x, direction, placed, groups)


correlate.defvjp(_keep(correlate), _correlate_backward)
input_gradient.defvjp(_keep(input_gradient), _input_gradient_backward)
kernel_gradient.defvjp(_keep(kernel_gradient), _kernel_gradient_backward)
