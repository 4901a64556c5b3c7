"""Rules, schedules and clipping beside PyTorch's and beside their formulas: twenty steps in float64."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import optimizers
from jaxcnn.config import (
    LAMB,
    LARS,
    SGD,
    Adam,
    AdamW,
    Constant,
    Cosine,
    Exponential,
    Lion,
    Muon,
    OneCycle,
    OptimizerConfig,
    Plateau,
    Polynomial,
    Restarts,
    RMSprop,
    Step,
)
from jaxcnn.host.errors import InputError

STEPS = 20
RNG = np.random.default_rng(0)
START = {"conv": {"kernel": RNG.normal(size=(3, 2, 4)), "bias": RNG.normal(size=4)}}
GRADIENTS = [jax.tree.map(lambda x: RNG.normal(size=x.shape), START) for _ in range(STEPS)]
# float64: twenty updates of some ten roundings of 1e-16 each, on numbers about 1
CLOSE = {"rtol": 1e-12, "atol": 1e-13}


@pytest.fixture
def double():
    """Float64, though optax counts steps in integers of 32 bits: promotion is not strict."""
    with jax.enable_x64(True):
        yield


def trained(config: OptimizerConfig, epochs: int = 5) -> dict:
    """The parameters after the twenty gradients."""
    rule = optimizers.make(config, STEPS // epochs, epochs)
    params = jax.tree.map(jnp.asarray, START)
    state = rule.init(params)

    @jax.jit
    def step(params, state, gradients):
        updates, state = rule.update(gradients, state, params)
        return jax.tree.map(jnp.add, params, updates), state

    for gradients in GRADIENTS:
        params, state = step(params, state, jax.tree.map(jnp.asarray, gradients))
    return params


def by_torch(make, schedule=None, clip=None) -> dict:
    torch = pytest.importorskip("torch")
    tensors = {name: torch.tensor(value, requires_grad=True) for name, value in START["conv"].items()}
    rule = make(torch.optim, [tensors["kernel"]], [tensors["bias"]])
    rates = schedule(torch.optim.lr_scheduler, rule) if schedule else None
    for gradients in GRADIENTS:
        for name, tensor in tensors.items():
            tensor.grad = torch.tensor(gradients["conv"][name])
        if clip:
            clip(torch.nn.utils, list(tensors.values()))
        rule.step()
        if rates:
            rates.step()
    return {"conv": {name: tensor.detach().numpy() for name, tensor in tensors.items()}}


def agree(one: dict, other: dict, **tolerance) -> None:
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, **(tolerance or CLOSE))


def both(groups):
    return [tensor for group in groups for tensor in group]


RULES = {
    "sgd": (SGD(0.9, False), lambda optim, *groups: optim.SGD(both(groups), 0.1, momentum=0.9)),
    "nesterov": (SGD(0.8), lambda optim, *groups: optim.SGD(both(groups), 0.1, momentum=0.8, nesterov=True)),
    "adam": (Adam(0.8, 0.9, 1e-3), lambda optim, *groups: optim.Adam(both(groups), 0.1, (0.8, 0.9), 1e-3)),
    "adamw": (
        AdamW(weight_decay=0.2),
        lambda optim, kernels, biases: optim.AdamW(
            [{"params": kernels}, {"params": biases, "weight_decay": 0.0}], 0.1, weight_decay=0.2
        ),
    ),
    "rmsprop": (
        RMSprop(0.9, 1e-3, momentum=0.5),
        lambda optim, *groups: optim.RMSprop(both(groups), 0.1, 0.9, 1e-3, momentum=0.5),
    ),
}


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_pytorchs(name, double):
    rule, make = RULES[name]
    agree(trained(OptimizerConfig(rule, lr=0.1, schedule=Constant())), by_torch(make))


def one_cycle(of, rule):
    return of.OneCycleLR(rule, 0.1, STEPS, pct_start=0.4, div_factor=10, final_div_factor=50, cycle_momentum=False)


SCHEDULES = {
    "cosine": (Cosine(end=0.02), lambda of, rule: of.CosineAnnealingLR(rule, STEPS, eta_min=0.02)),
    "one cycle": (OneCycle(0.4, 10, 50), lambda of, rule: one_cycle(of, rule)),
    "polynomial": (Polynomial(2.0), lambda of, rule: of.PolynomialLR(rule, STEPS, 2.0)),
    "step": (Step((2, 3), 0.3), lambda of, rule: of.MultiStepLR(rule, [8, 12], 0.3)),
    "exponential": (Exponential(0.7, 0.25), lambda of, rule: of.ExponentialLR(rule, 0.7)),
    "restarts": (Restarts(1, 2.0, 0.01), lambda of, rule: of.CosineAnnealingWarmRestarts(rule, 4, 2, eta_min=0.01)),
}  # fmt: skip


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_pytorchs(name, double):
    schedule, make = SCHEDULES[name]
    plain = SGD(momentum=0.0)
    found = trained(OptimizerConfig(plain, lr=0.1, schedule=schedule))
    # the rates are float32: twenty roundings of 6e-8 of steps about 0.1
    agree(found, by_torch(lambda optim, *groups: optim.SGD(both(groups), 0.1), make), rtol=1e-6, atol=2e-7)


@pytest.mark.parametrize("patience", [0, 2])
def test_the_plateaus_rates_are_pytorchs(patience):
    torch = pytest.importorskip("torch")
    losses = [1.0, 0.9, 0.9, 0.95, 0.89999, 0.8, 0.81, 0.82, 0.83, 0.84, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7]
    rule = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.4)
    peer = torch.optim.lr_scheduler.ReduceLROnPlateau(rule, factor=0.5, patience=patience, min_lr=0.03)
    schedule = Plateau(0.5, patience, end=0.03)
    for count, loss in enumerate(losses, start=1):
        peer.step(loss)
        assert 0.4 * schedule.scale(losses[:count], 0.4) == pytest.approx(rule.param_groups[0]["lr"])


def test_clipping_is_pytorchs(double):
    def sgd(optim, *groups):
        return optim.SGD(both(groups), 0.1)

    plain = OptimizerConfig(SGD(momentum=0.0), lr=0.1, schedule=Constant())
    by_norm = trained(OptimizerConfig(SGD(momentum=0.0), lr=0.1, schedule=Constant(), clip_norm=0.5))
    # PyTorch adds 1e-6 to the norm that it divides by
    agree(by_norm, by_torch(sgd, clip=lambda of, params: of.clip_grad_norm_(params, 0.5)), rtol=1e-5, atol=1e-6)
    by_value = trained(OptimizerConfig(SGD(momentum=0.0), lr=0.1, schedule=Constant(), clip_value=0.3))
    agree(by_value, by_torch(sgd, clip=lambda of, params: of.clip_grad_value_(params, 0.3)))
    assert (by_value["conv"]["bias"] != trained(plain)["conv"]["bias"]).all()


def walked(step) -> dict:
    """The parameters after `step(number, name, parameter, gradient, memory)` of each."""
    found, memory = {name: value.copy() for name, value in START["conv"].items()}, {name: {} for name in START["conv"]}
    for number, gradients in enumerate(GRADIENTS, start=1):
        for name in found:
            found[name] = step(number, name, found[name], gradients["conv"][name], memory[name])
    return {"conv": found}


def test_lion_is_its_formula(double):
    def step(number, name, p, g, memory):
        mean = memory.get("mean", 0 * g)
        memory["mean"] = 0.99 * mean + 0.01 * g
        decay = 0.1 if name == "kernel" else 0.0
        return p - 0.05 * (np.sign(0.9 * mean + 0.1 * g) + decay * p)

    agree(trained(OptimizerConfig(Lion(weight_decay=0.1), lr=0.05, schedule=Constant())), walked(step))


def test_lamb_is_its_formula(double):
    def step(number, name, p, g, memory):
        mean = memory["mean"] = 0.9 * memory.get("mean", 0) + 0.1 * g
        square = memory["square"] = 0.999 * memory.get("square", 0) + 0.001 * g * g
        direction = mean / (1 - 0.9**number) / (np.sqrt(square / (1 - 0.999**number)) + 1e-6)
        direction = direction + (0.1 * p if name == "kernel" else 0)
        return p - 0.05 * np.linalg.norm(p) / np.linalg.norm(direction) * direction

    agree(trained(OptimizerConfig(LAMB(weight_decay=0.1), lr=0.05, schedule=Constant())), walked(step))


def test_lars_is_its_formula(double):
    def step(number, name, p, g, memory):
        if name == "kernel":
            g = g + 0.1 * p
            g = 0.02 * np.linalg.norm(p) / np.linalg.norm(g) * g
        memory["velocity"] = 0.9 * memory.get("velocity", 0) + g
        return p - 0.5 * memory["velocity"]

    agree(trained(OptimizerConfig(LARS(weight_decay=0.1, trust=0.02), lr=0.5, schedule=Constant())), walked(step))


def test_muon_moves_kernels_along_an_orthogonal_matrix_and_the_rest_by_adam(double):
    muon = OptimizerConfig(Muon(momentum=0.0, nesterov=False, iterations=5), lr=1.0, schedule=Constant())
    rule = optimizers.make(muon, 1, 1)
    params = jax.tree.map(jnp.asarray, START)
    gradients = jax.tree.map(jnp.asarray, GRADIENTS[0])
    moved = rule.update(gradients, rule.init(params), params)[0]["conv"]
    left, _, right = np.linalg.svd(GRADIENTS[0]["conv"]["kernel"].reshape(6, 4), full_matrices=False)
    matrix = -np.asarray(moved["kernel"]).reshape(6, 4) / (0.2 * math.sqrt(6))
    # five iterations take singular values of a random matrix to between about 0.7 and 1.2 (Jordan et al. 2024)
    singular = np.diag(left.T @ matrix @ right.T)
    np.testing.assert_allclose(left.T @ matrix @ right.T, np.diag(singular), atol=1e-6)
    assert (singular > 0.6).all() and (singular < 1.3).all()
    assert abs(np.sqrt(np.mean(np.square(moved["kernel"]))) / 0.2 - 1) < 0.35
    bias = GRADIENTS[0]["conv"]["bias"]
    np.testing.assert_allclose(moved["bias"], -bias / (np.abs(bias) + 1e-8), rtol=1e-6)


PARTS = {f"layer{n}.{kind}": {"kernel": np.ones(2), "bias": np.ones(2)} for n in (1, 2) for kind in ("conv", "bn")}


def update(config: OptimizerConfig, steps: int = 1) -> dict:
    rule = optimizers.make(config, 2, 5)
    params = jax.tree.map(jnp.asarray, PARTS)
    state = rule.init(params)
    for _ in range(steps):
        updates, state = rule.update(params, state, params)
    return {f"{path}.{name}": float(value[0]) for path, layer in updates.items() for name, value in layer.items()}


PLAIN: dict = {"rule": SGD(momentum=0.0), "lr": 1.0, "schedule": Constant()}


def test_rates_and_decays_are_those_of_the_first_pattern_that_fits():
    found = update(OptimizerConfig(**PLAIN, rates={"layer1": 0.1, "*.bn": 3.0, "*": 1.0}))
    expected = {"layer1.conv": 0.1, "layer1.bn": 0.1, "layer2.conv": 1.0, "layer2.bn": 3.0}
    assert found == pytest.approx({f"{p}.{n}": -v for p, v in expected.items() for n in ("kernel", "bias")})
    decayed = OptimizerConfig(
        SGD(0.0, weight_decay=0.5), 1.0, schedule=Constant(), decays={"*.bn": 0, "*.bias": 0, "*": 2}
    )
    found = update(decayed)
    assert set(found.values()) == {-2.0, -1.0}
    assert [name for name, value in found.items() if value == -2] == ["layer1.conv.kernel", "layer2.conv.kernel"]


def test_the_rate_falls_from_part_to_part_in_the_networks_order():
    """Which is not that of the alphabet, to which a traced tree is sorted."""
    params = {path: {"kernel": jnp.ones(2)} for path in ("stem.conv", "body.conv", "body.bn", "fc")}
    config = OptimizerConfig(**PLAIN, layer_decay=0.5)
    rule = optimizers.make(config, 2, 5, parts=optimizers.paths.parts_of(params))
    updates = jax.jit(lambda params: rule.update(params, rule.init(params), params)[0])(params)
    found = {path: float(layer["kernel"][0]) for path, layer in updates.items()}
    assert found == {"stem.conv": -0.25, "body.conv": -0.5, "body.bn": -0.5, "fc": -1.0}


def test_layers_thaw_in_their_epoch():
    config = OptimizerConfig(**PLAIN, thaw={"layer1": 1, "*": 0})
    for steps, moves in (1, False), (2, False), (3, True):  # two steps an epoch
        assert (update(config, steps)["layer1.conv.kernel"] == -1.0) == moves
        assert update(config, steps)["layer2.conv.kernel"] == -1.0


@pytest.mark.parametrize(
    ("patterns", "sentence"),
    [
        ({"layer1": 0.1}, r"rates: no pattern covers layer2\.conv\.kernel: end with '\*' NUMBER"),
        ({"stem": 0.1, "*": 1.0}, "rates: no parameter that is trained fits 'stem'; layers are called layer1.conv, "),
    ],
)
def test_patterns_that_leave_something_out_are_refused(patterns, sentence):
    with pytest.raises(ValueError, match=sentence):
        optimizers.check(OptimizerConfig(rates=patterns), PARTS)


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: OptimizerConfig(clip_norm=-1.0), "optimizer.clip_norm must not be negative"),
        (lambda: OptimizerConfig(schedule=OneCycle(), warmup_epochs=1.0), "one_cycle schedule rises by itself"),
        (lambda: OptimizerConfig(decays={"*": 0.0}), "decays are factors of the weight decay, and that of adam is 0"),
        (lambda: OptimizerConfig(layer_decay=1.5), "layer_decay must be above 0 and at most 1"),
        (lambda: OptimizerConfig(rates={"*": -1.0}), r"rates of '\*' must not be negative"),
        (lambda: OneCycle(rise=1.0), "one_cycle schedule's rise must be between 0 and 1"),
        (lambda: Muon(iterations=0), "muon's iterations must be at least 1"),
        (lambda: Restarts(longer=0.5), "restarts schedule's longer must be at least 1"),
    ],
)
def test_settings_that_cannot_work_are_refused(build, sentence):
    with pytest.raises(InputError, match=sentence):
        build()
