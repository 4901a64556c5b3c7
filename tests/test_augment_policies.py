"""Policies: torchvision's tables, Pillow's operations, what is drawn, and how images, masks and boxes follow."""

from __future__ import annotations

import itertools
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from native_program import needs_a_compiler
from PIL import Image, ImageEnhance, ImageOps
from sklearn.datasets import load_sample_images

from jaxcnn.data.augment import (
    Augmentation,
    AugMix,
    AutoAugment,
    RandAugment,
    TimmRandAugment,
    TrivialAugment,
    augment,
    replay,
    replay_boxes,
    replay_masks,
    sample,
)  # fmt: skip
from jaxcnn.data.augment.autoaugment import sub_policies
from jaxcnn.data.augment.policy import SIGNED, Operation, Policy
from jaxcnn.data.batches import epoch_key
from jaxcnn.host.errors import InputError
from jaxcnn.ops import native

PHOTOGRAPHS = np.stack([image[100:340:2, 200:520:2] for image in load_sample_images().images])  # (2, 120, 160, 3)
SHAPE = (120, 160, 3)
O = Operation  # noqa: E741
FOURTEEN = [each for each in Operation if each < O.INVERT]

# torchvision 0.28, transforms/autoaugment.py: for images of 224x224, by bin. Those without a magnitude are left out.
RANDAUGMENT = {  # of 31 bins: 0, 9, 10 and 30
    (O.SHEAR_X, O.SHEAR_Y): (0, 0.09, 0.1, 0.3),
    (O.TRANSLATE_X, O.TRANSLATE_Y): (0, 30, 33, 101),  # cut from 30.45, 33.84 and 101.51
    (O.ROTATE,): (0, 9, 10, 30),
    (O.BRIGHTNESS, O.COLOR, O.CONTRAST, O.SHARPNESS): (0, 0.27, 0.3, 0.9),
    (O.POSTERIZE,): (8, 7, 7, 4),
    (O.SOLARIZE,): (255, 178.5, 170, 0),
}
TRIVIALAUGMENT = {  # the same bins
    (O.SHEAR_X, O.SHEAR_Y): (0, 0.297, 0.33, 0.99),
    (O.TRANSLATE_X, O.TRANSLATE_Y): (0, 9, 10, 32),
    (O.ROTATE,): (0, 40.5, 45, 135),
    (O.BRIGHTNESS, O.COLOR, O.CONTRAST, O.SHARPNESS): (0, 0.297, 0.33, 0.99),
    (O.POSTERIZE,): (8, 6, 6, 2),
    (O.SOLARIZE,): (255, 178.5, 170, 0),
}
AUTOAUGMENT = {  # of ten levels: 0, 3, 8 and 9
    (O.SHEAR_X, O.SHEAR_Y): (0, 0.1, 0.3 * 8 / 9, 0.3),
    (O.TRANSLATE_X, O.TRANSLATE_Y): (0, 33, 90, 101),
    (O.ROTATE,): (0, 10, 80 / 3, 30),
    (O.BRIGHTNESS, O.COLOR, O.CONTRAST, O.SHARPNESS): (0, 0.3, 0.8, 0.9),
    (O.POSTERIZE,): (8, 7, 4, 4),
    (O.SOLARIZE,): (255, 170, 255 / 9, 0),
}
AUGMIX = AUTOAUGMENT | {(O.TRANSLATE_X, O.TRANSLATE_Y): (0, 24, 66, 74), (O.POSTERIZE,): (4, 3, 0, 0)}
TABLES = {
    "randaugment": (RANDAUGMENT, (0, 9, 10, 30)),
    "trivialaugment": (TRIVIALAUGMENT, (0, 9, 10, 30)),
    "autoaugment=imagenet": (AUTOAUGMENT, (0, 3, 8, 9)),
    "autoaugment=cifar10": (AUTOAUGMENT, (0, 3, 8, 9)),
    "autoaugment=svhn": (AUTOAUGMENT, (0, 3, 8, 9)),
    "augmix": (AUGMIX, (0, 3, 8, 9)),
}


def policy(words: str) -> Policy:
    (found,) = Augmentation.parse(words.split())
    assert isinstance(found, Policy)
    return found


@pytest.mark.parametrize("words", TABLES)
def test_magnitudes_are_torchvisions(words: str):
    found, (table, bins) = policy(words).magnitudes((224, 224, 3)), TABLES[words]
    expected = {operation: values for operations, values in table.items() for operation in operations}
    for operation, magnitudes in found.items():
        # float32, up to 255
        np.testing.assert_allclose(magnitudes[list(bins)], expected.get(operation, (0,) * 4), atol=2e-5)
    assert words.startswith("auto") or set(expected) < set(found)


def test_each_policy_has_torchvisions_operations():
    assert list(RandAugment().magnitudes(SHAPE)) == list(TrivialAugment().magnitudes(SHAPE)) == FOURTEEN
    assert list(AugMix().magnitudes(SHAPE)) == FOURTEEN[1:]
    assert {*SIGNED} == {*range(1, 10)}
    occurring = {name for each in ("imagenet", "cifar10", "svhn") for name in AutoAugment(each).magnitudes(SHAPE)}
    assert occurring == {*FOURTEEN[1:], O.INVERT}


def test_images_are_shifted_down_by_their_height_and_to_the_right_by_their_width():
    tall = RandAugment().magnitudes((331, 662, 3))
    assert (tall[O.TRANSLATE_Y][30], tall[O.TRANSLATE_X][30]) == (150, 300)


# Tables 7 to 9 of the paper, as in torchvision: an operation's letters, its probability in tenths (a is ten) and level
LETTERS = {
    "Po": O.POSTERIZE, "Ro": O.ROTATE, "So": O.SOLARIZE, "Au": O.AUTOCONTRAST, "Eq": O.EQUALIZE, "Co": O.COLOR,
    "Ct": O.CONTRAST, "In": O.INVERT, "Sh": O.SHARPNESS, "SX": O.SHEAR_X, "SY": O.SHEAR_Y, "TX": O.TRANSLATE_X,
    "TY": O.TRANSLATE_Y, "Br": O.BRIGHTNESS,
}  # fmt: skip
PAIRS = {
    "imagenet": """Po48+Ro69 So65+Au6- Eq8-+Eq6- Po67+Po66 Eq4-+So24 Eq4-+Ro88 So63+Eq6- Po85+Eqa- Ro23+So68 Eq6-+Po46
        Ro88+Co40 Ro49+Eq6- Eq0-+Eq8- In6-+Eqa- Co64+Cta8 Ro88+Coa2 Co88+So87 Sh47+In6- SX65+Eqa- Co40+Eq6- Eq4-+So24
        So65+Au6- In6-+Eqa- Co64+Cta8 Eq8-+Eq6-""",
    "cifar10": """In1-+Ct26 Ro72+TX39 Sh81+Sh93 SY58+TY79 Au5-+Eq9- SY27+Po37 Co43+Br67 Sh39+Br79 Eq6-+Eq5- Ct67+Sh65
        Co77+TX58 Eq3-+Au4- TY43+Sh26 Br96+Co28 So52+In0- Eq2-+Au6- Eq2-+Eq6- Co99+Eq6- Au8-+So28 Br13+Co70 So45+Au9-
        TY99+TY79 Au9-+So83 Eq8-+In1- TY79+Au9-""",
    "svhn": """SX94+In2- SY98+In7- Eq6-+So66 In9-+Eq6- Eq6-+Ro93 SX94+Au8- SY98+In4- SY95+So26 In9-+Au8- Eq6-+Ro93
        SX94+So33 SY88+In7- Eq9-+TY66 In9-+Eq6- Ct33+Ro84 In8-+TY02 SY76+So48 In6-+Ro84 SY37+TX93 SX16+In6- So72+TY67
        SY84+In8- SX79+TY83 SY85+Au7- SX72+In1-""",
}


@pytest.mark.parametrize("name", PAIRS)
def test_the_pairs_of_autoaugment_are_those_of_the_paper(name: str):
    def step(text: str):
        return LETTERS[text[:2]], int(text[2], 16) / 10, int(text[3].replace("-", "0"))

    expected = [tuple(step(part) for part in pair.split("+")) for pair in PAIRS[name].split()]
    assert len(expected) == 25
    assert sub_policies(name) == expected


def by_pillow(image: Image.Image, operation: Operation, magnitude: float) -> Image.Image:
    """As torchvision does it with an image of Pillow."""
    rows = {
        O.SHEAR_X: (1, magnitude, 0, 0, 1, 0),
        O.SHEAR_Y: (1, 0, 0, magnitude, 1, 0),
        O.TRANSLATE_X: (1, 0, -magnitude, 0, 1, 0),
        O.TRANSLATE_Y: (1, 0, 0, 0, 1, -magnitude),
    }
    enhancers = {
        O.BRIGHTNESS: ImageEnhance.Brightness,
        O.COLOR: ImageEnhance.Color,
        O.CONTRAST: ImageEnhance.Contrast,
        O.SHARPNESS: ImageEnhance.Sharpness,
    }
    if operation in rows:
        return image.transform(image.size, Image.Transform.AFFINE, rows[operation], Image.Resampling.NEAREST)
    if operation in enhancers:
        return enhancers[operation](image).enhance(1 + magnitude)
    match operation:
        case O.ROTATE:
            return image.rotate(magnitude, Image.Resampling.NEAREST)
        case O.POSTERIZE:
            return ImageOps.posterize(image, int(magnitude))
        case O.SOLARIZE:
            return ImageOps.solarize(image, magnitude)  # type: ignore[arg-type]
        case O.AUTOCONTRAST:
            return ImageOps.autocontrast(image)
        case O.EQUALIZE:
            return ImageOps.equalize(image)
        case O.INVERT:
            return ImageOps.invert(image)
        case O.SOLARIZE_ADD:
            return image.point([min(v + int(magnitude), 255) if v < 128 else v for v in range(256)] * 3)
    return image


RANDOM = RandAugment()


def done(operations, magnitudes, images=PHOTOGRAPHS, by: Policy = RANDOM):
    drawn = {"operation": jnp.array(operations, jnp.int32), "magnitude": jnp.array(magnitudes, jnp.float32)}
    return np.asarray(jax.jit(jax.vmap(lambda image: by.change(image, drawn)))(jnp.asarray(images)))


STRENGTHS = {
    **dict.fromkeys((O.SHEAR_X, O.SHEAR_Y), (0.09, -0.3, 0.99)),
    **dict.fromkeys((O.TRANSLATE_X, O.TRANSLATE_Y), (1, -30, 159)),
    O.ROTATE: (9, -30, 121.5, 90, 180),
    **dict.fromkeys((O.BRIGHTNESS, O.COLOR, O.CONTRAST, O.SHARPNESS), (0.27, -0.9, 0.99)),
    O.POSTERIZE: (7, 2),
    O.SOLARIZE: (178.5, 0, 255),
    O.SOLARIZE_ADD: (0, 99),
}
EACH = [(operation, strength) for operation in Operation for strength in STRENGTHS.get(operation, (0,))]


@pytest.mark.parametrize(("operation", "strength"), EACH, ids=lambda value: getattr(value, "name", None))
def test_an_operation_is_pillows(operation: Operation, strength: float):
    """Within one level; but 0.5% of the pixels may come from the neighbor, as who is nearest to the middle between two
    is decided by rounding: of float32 here, of 1/65536ths of a pixel there."""
    by = {O.INVERT: AutoAugment("imagenet"), O.SOLARIZE_ADD: TimmRandAugment()}.get(operation, RANDOM)
    expected = [np.asarray(by_pillow(Image.fromarray(image), operation, strength)) for image in PHOTOGRAPHS]
    apart = abs(done([operation], [strength], by=by).astype(int) - np.stack(expected)) > 1
    assert apart.mean() <= (0.005 if operation in SIGNED and operation <= O.ROTATE else 0)


def test_operations_are_done_one_after_the_other():
    one, other = (O.SHEAR_X, 0.2), (O.EQUALIZE, 0)
    both = done(*zip(one, other, strict=True))
    assert (both == done([other[0]], [0], done([one[0]], [0.2]))).all()
    assert (both != done(*zip(other, one, strict=True))).any()


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_neutral_magnitudes_change_nothing(dtype: str):
    images = PHOTOGRAPHS if dtype == "uint8" else (PHOTOGRAPHS / 255).astype(dtype)
    operations = [O.IDENTITY, *sorted(SIGNED), O.POSTERIZE, O.SOLARIZE]
    got = done(operations, [7] + [0] * 9 + [8, 256], images, TrivialAugment())
    np.testing.assert_allclose(got, images, atol=0 if dtype == "uint8" else 1e-6)  # products with 1, 13 and 1/13


def draws(policy: Policy, count: int, shape=SHAPE):
    keys = jax.random.split(jax.random.key(0), count)
    return jax.device_get(jax.jit(jax.vmap(lambda key: policy.sample(key, shape)))(keys))


def even(counts, expected: float) -> bool:
    """Whether all counts are within five standard deviations of what is expected of each."""
    return (abs(np.asarray(list(counts)) - expected) < 5 * np.sqrt(expected)).all()


def thousandths(magnitudes) -> list[int]:
    return np.round(abs(np.asarray(magnitudes)) * 1000).astype(int).tolist()


def test_randaugment_draws_any_operations_of_one_strength():
    drawn = draws(RandAugment(3, 10), 4000)
    assert drawn["operation"].shape == (4000, 3)
    for place in range(3):
        counts = Counter(drawn["operation"][:, place])
        assert set(counts) == set(FOURTEEN) and even(counts.values(), 4000 / 14)
    pairs = Counter(zip(drawn["operation"][:, 0], drawn["operation"][:, 1], strict=True))
    assert len(pairs) == 14 * 14 and even(pairs.values(), 4000 / 196)  # with replacement, and of each other free
    for operation, levels in RandAugment().magnitudes(SHAPE).items():
        magnitudes = drawn["magnitude"][drawn["operation"] == operation]
        negative = (magnitudes < 0).mean()
        np.testing.assert_array_equal(abs(magnitudes), levels[10])
        assert abs(negative - 0.5) < 5 * 0.5 / np.sqrt(800) if operation in SIGNED else negative == 0


def test_trivialaugment_draws_any_operation_of_any_strength():
    drawn = draws(TrivialAugment(), 20000)
    assert drawn["operation"].shape == (20000, 1)
    assert even(Counter(drawn["operation"][:, 0]).values(), 20000 / 14)
    rotated = abs(drawn["magnitude"][drawn["operation"] == O.ROTATE])
    strengths = Counter(rotated.tolist())
    assert len(strengths) == 31 and even(strengths.values(), 20000 / 14 / 31)
    bits = Counter(drawn["magnitude"][drawn["operation"] == O.POSTERIZE].tolist())
    assert {*bits} == {8, 7, 6, 5, 4, 3, 2}
    assert even([bits[each] for each in (7, 6, 5, 4, 3)], 20000 / 14 / 31 * 5) and even([bits[8]], 20000 / 14 / 31 * 3)


@pytest.mark.parametrize("name", PAIRS)
def test_autoaugment_draws_any_pair_and_does_each_part_with_its_probability(name: str):
    count = 20000
    drawn = draws(AutoAugment(name), count, (224, 224, 3))
    places = [thousandths(drawn["magnitude"][:, place]) for place in (0, 1)]
    got = Counter(zip(drawn["operation"][:, 0], places[0], drawn["operation"][:, 1], places[1], strict=True))
    expected: Counter = Counter()
    levels = AutoAugment(name).magnitudes((224, 224, 3))
    for pair in sub_policies(name):
        (_, p, _), (_, q, _) = pair
        strengths = thousandths([levels[operation][level] for operation, _, level in pair])
        for first, second in itertools.product((False, True), repeat=2):
            share = (p if first else 1 - p) * (q if second else 1 - q)
            names = [
                operation if yes else O.IDENTITY for (operation, _, _), yes in zip(pair, (first, second), strict=True)
            ]
            expected[names[0], strengths[0], names[1], strengths[1]] += count / 25 * share
    assert set(got) <= {what for what, often in expected.items() if often > 0}
    for what, often in expected.items():
        assert abs(got[what] - often) <= 5 * np.sqrt(often), what


@pytest.mark.thorough
def test_augmix_draws_chains_and_weights():
    drawn = draws(AugMix(), 6000)
    assert drawn["operation"].shape == (6000, 3, 3)
    depths = Counter((drawn["operation"] != O.IDENTITY).sum(-1).ravel().tolist())
    assert set(depths) == {1, 2, 3} and even(depths.values(), 6000)
    assert (drawn["operation"][..., 0] != O.IDENTITY).all()
    assert even(Counter(drawn["operation"][..., 0].ravel()).values(), 18000 / 13)
    turns = Counter(thousandths(drawn["magnitude"][drawn["operation"] == O.ROTATE]))
    assert set(turns) == {0, 3333, 6667} and even(turns.values(), sum(turns.values()) / 3)
    weights = drawn["weights"]
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-6)  # float32
    # with alpha 1, the image's own weight is even, and the chains' shares of the rest have the variance 1/18
    own, shares = weights[:, 0], weights[:, 1:] / (1 - weights[:, :1])
    assert abs(np.sort(own) - np.linspace(0, 1, 6000)).max() < 1.95 / np.sqrt(6000)  # once in a thousand (Kolmogorov)
    assert abs(shares.mean(0) - 1 / 3).max() < 5 * np.sqrt(1 / 18 / 6000)
    assert abs(shares.var(0) - 1 / 18).max() < 0.005
    assert {*(draws(AugMix(depth=2), 50)["operation"] != O.IDENTITY).sum(-1).ravel()} == {2}


@pytest.mark.thorough
def test_augmix_is_the_weighted_mean_of_its_chains():
    mix, image = AugMix(), jnp.asarray(PHOTOGRAPHS[0])
    drawn = mix.sample(jax.random.key(5), SHAPE)
    ends = [image]
    for k in range(3):
        chain = {name: drawn[name][k] for name in ("operation", "magnitude")}
        ends.append(Policy.change(mix, image, chain))
    expected = np.tensordot(np.asarray(drawn["weights"], np.float64), np.stack(ends).astype(float), 1)
    assert abs(np.asarray(mix.replay(image, drawn)) - expected).max() < 0.501  # the nearest level
    alone = drawn | {"weights": jnp.array([1.0, 0, 0, 0])}
    assert (mix.replay(image, alone) == image).all()
    for wrong in (
        lambda: mix.replay_mask(image[..., 0], drawn),
        lambda: mix.replay_boxes(jnp.ones((1, 4)), drawn, SHAPE),
    ):
        with pytest.raises(ValueError, match="several ways at once"):
            wrong()


TIMM = {  # timm's auto_augment.py: of 224x448 and of the magnitudes 9 and 10, without and with "inc"
    O.ROTATE: ((27, 30), (27, 30)),
    **dict.fromkeys((O.SHEAR_X, O.SHEAR_Y), ((0.27, 0.3), (0.27, 0.3))),
    O.TRANSLATE_X: ((181.44, 201.6), (181.44, 201.6)),
    O.TRANSLATE_Y: ((90.72, 100.8), (90.72, 100.8)),
    **dict.fromkeys((O.BRIGHTNESS, O.COLOR, O.CONTRAST, O.SHARPNESS), ((0.72, 0.9), (0.81, 0.9))),  # factors less 1
    O.POSTERIZE: ((3, 4), (1, 0)),
    O.SOLARIZE: ((230, 256), (26, 0)),
    O.SOLARIZE_ADD: ((99, 110), (99, 110)),
    **dict.fromkeys((O.AUTOCONTRAST, O.EQUALIZE, O.INVERT), ((0, 0), (0, 0))),
}


@pytest.mark.parametrize("increasing", [False, True])
@pytest.mark.parametrize("magnitude", [9, 10])
def test_timms_operations_are_done_half_of_the_time_with_its_magnitudes(magnitude: int, increasing: bool):
    config = f"rand-m{magnitude}-n1" + "-inc1" * increasing
    drawn = draws(TimmRandAugment(config), 6000, (224, 448, 3))
    counts = Counter(drawn["operation"][:, 0])
    assert set(counts) == {O.IDENTITY, *TIMM} and abs(counts.pop(O.IDENTITY) - 3000) < 5 * np.sqrt(6000) / 2
    assert even(counts.values(), 3000 / 15)
    signed = {*range(O.SHEAR_X, O.BRIGHTNESS if not increasing else O.POSTERIZE)}
    for operation, values in TIMM.items():
        found = drawn["magnitude"][drawn["operation"] == operation]
        np.testing.assert_allclose(abs(found), values[increasing][magnitude - 9], rtol=1e-6)  # float32
        assert ((found < 0).any() and (found > 0).any()) == (operation in signed)


def test_timms_strengths_are_normal_or_even_and_at_most_mmax():
    def turns(config: str) -> np.ndarray:
        drawn = draws(TimmRandAugment(config), 30000)
        assert drawn["operation"].shape == (30000, 2)
        return abs(drawn["magnitude"][drawn["operation"] == O.ROTATE]) / 3

    usual, wide, any_ = (turns(f"rand-m9-{rest}") for rest in ("mstd0.5", "mstd2-mmax20", "mstd101"))
    # about 2,000 each: five standard deviations of a share, of a mean and of a deviation
    assert usual.max() <= 10 and abs((usual > 9.999).mean() - 0.0228) < 5 * np.sqrt(0.0228 / len(usual))
    assert abs(wide.mean() - 9) < 10 / np.sqrt(len(wide)) and abs(wide.std() - 2) < 10 / np.sqrt(2 * len(wide))
    assert wide.max() > 12
    even_ones = np.linspace(0, 9, len(any_))
    assert abs(np.sort(any_) - even_ones).max() < 9 * 1.95 / np.sqrt(len(any_))  # once in a thousand (Kolmogorov)


def test_timm_fills_with_its_color():
    drawn = {"operation": jnp.array([O.TRANSLATE_X]), "magnitude": jnp.array([30.0])}
    moved = TimmRandAugment().change(jnp.asarray(PHOTOGRAPHS[0]), drawn)
    assert (moved[:, :30] == jnp.array([124, 116, 104])).all() and (moved[:, 30:] == PHOTOGRAPHS[0, :, :-30]).all()


DTYPES = ["uint8", pytest.param("float32", marks=pytest.mark.slow)]
ALL = ["randaugment=2,9", "trivialaugment", "autoaugment=svhn", "augmix", "timm fill=124"]
SLOWLY_ALL = [ALL[0], *(pytest.param(words, marks=pytest.mark.slow) for words in ALL[1:])]


@pytest.mark.every(4)
@pytest.mark.parametrize("words", SLOWLY_ALL)
@pytest.mark.parametrize("dtype", DTYPES)
def test_an_example_alone_is_what_it_is_in_a_batch(words: str, dtype: str):
    images = np.repeat(PHOTOGRAPHS[:, :40, :50], 4, 0)
    images = images if dtype == "uint8" else (images / 255).astype(dtype)
    chosen, ids = (policy(words),), jnp.arange(8) * 7
    whole = augment(jnp.asarray(images), ids, epoch_key(0, 1), chosen)
    assert whole.dtype == dtype and whole.shape == images.shape and (whole != images).any()
    for one in (0, 5):
        part = augment(jnp.asarray(images[[one]]), ids[jnp.array([one])], epoch_key(0, 1), chosen)
        # sums of float32 may be added up in another order where there are other images
        np.testing.assert_allclose(part[0], whole[one], atol=0 if dtype == "uint8" else 1e-5)


@pytest.mark.parametrize("words", SLOWLY_ALL)
def test_with_probability_zero_nothing_happens(words: str):
    (never,) = Augmentation.parse([*words.split(), "probability=0"])
    assert (never(jax.random.key(0), jnp.asarray(PHOTOGRAPHS[0])) == PHOTOGRAPHS[0]).all()


@pytest.mark.thorough
@needs_a_compiler
@pytest.mark.parametrize("words", SLOWLY_ALL)
def test_a_batch_is_one_call_for_each_step_and_the_program_computes_what_jax_does(words: str):
    """Within one level, but for 0.5% of the values: the nearest pixel may be another, or equalizing make one level
    several."""
    chosen, ids = (policy(words),), jnp.arange(24)
    images = jnp.asarray(np.repeat(PHOTOGRAPHS[:, :40, :50], 12, 0))

    def run():
        return jax.jit(lambda images, key: augment(images, ids, key, chosen))

    steps = sample(images.shape[1:], ids, epoch_key(0, 0), chosen)[0]["operation"][0].size
    assert run().lower(images, epoch_key(0, 0)).as_text().count("@jaxcnn_recolor") == steps
    fast = np.asarray(run()(images, epoch_key(0, 0))).astype(int)
    with native.switched("0"):
        plain = np.asarray(run()(images, epoch_key(0, 0)))
    assert (abs(fast - plain) > 1).mean() < 0.005


def test_masks_and_boxes_move_with_the_image():
    """A white rectangle: its mask is where the image is white, and its box is around that."""
    image = np.zeros((1, 60, 80, 3), np.uint8)
    image[:, 20:40, 30:60] = 255
    moves = (RandAugment(2, 9),)
    drawn = sample(SHAPE, jnp.arange(1), epoch_key(0, 0), moves)
    drawn[0]["operation"] = jnp.array([[O.ROTATE, O.TRANSLATE_X]])
    drawn[0]["magnitude"] = jnp.array([[20.0, 7.0]])
    moved = np.asarray(replay(jnp.asarray(image), drawn, moves))[0, ..., 0]
    assert (np.asarray(replay_masks(jnp.asarray(image[..., 0] // 255), drawn, moves))[0] * 255 == moved).all()
    assert 0.9 < (moved == 255).sum() / 600 < 1.1 and (moved[20:40, 30:60] == 0).any()
    box = np.asarray(replay_boxes(jnp.array([[[20.0, 30.0, 40.0, 60.0]]]), image.shape[1:], drawn, moves))[0, 0]
    rows, columns = np.nonzero(moved)
    around = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
    assert abs(box - around).max() <= 1.5  # corners, of which a pixel has only a part


@pytest.mark.slow
def test_a_gray_image_keeps_its_one_channel():
    gray = jnp.asarray(np.repeat(PHOTOGRAPHS[:, :40, :50, :1], 4, 0))
    for words in ALL:
        got = augment(gray, jnp.arange(8), epoch_key(0, 0), (policy(words),))
        assert got.shape == gray.shape and (got != gray).any()
        with pytest.raises(ValueError, match=r"(augment|augmix|timm) is for images with 1 or 3 channels, not 2"):
            policy(words).check_shape((8, 8, 2))


@pytest.mark.parametrize("words", SLOWLY_ALL)
@pytest.mark.parametrize("dtype", DTYPES)
def test_no_dtype_and_no_rank_is_promoted(words: str, dtype: str, float64):
    images = jnp.asarray((PHOTOGRAPHS[:, :14, :16] / (1 if dtype == "uint8" else 255)).astype(dtype))
    with jax.numpy_rank_promotion("raise"):
        assert augment(images, jnp.arange(2), epoch_key(0, 1), (policy(words),)).dtype == dtype


WRONG = {
    "randaugment=0": "operations must be 1 or more",
    "randaugment=2,31": "magnitude must be from 0 to 30, not 31",
    "randaugment=2,0,1": "bins must be 2 or more",
    "trivialaugment=1": "bins must be 2 or more",
    "autoaugment=mnist": "one of imagenet, cifar10, svhn",
    "timm=rand-m9-inc0": "made of rand and any of m9",
    "timm=rand-m9-w0": "made of rand and any of m9",
    "timm=rand-m9-m8": "made of rand and any of m9",
    "timm=original-mstd0.5": "made of rand and any of m9",
    "timm=rand-n0": "made of rand and any of m9",
    "timm fill=300": "levels from 0 to 255",
    "augmix=0": "severity must be from 1 to 10",
    "augmix=11": "severity must be from 1 to 10",
    "augmix width=0": "width must be 1 or more",
    "augmix depth=0": "depth must be 1 or more",
    "augmix alpha=0": "alpha must be positive",
}


@pytest.mark.parametrize("words", WRONG)
def test_settings_that_cannot_be_meant_are_refused(words: str):
    with pytest.raises(InputError, match=WRONG[words]):
        Augmentation.parse(words.split())
