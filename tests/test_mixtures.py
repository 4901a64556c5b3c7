"""MixUp and CutMix: what is drawn, what is mixed, and that it depends on an image and not on its batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn.config import Crop, DataConfig, Flip, TrainConfig
from jaxcnn.data.augment import CutMix, Mixing, MixUp, mix, split_mixtures
from jaxcnn.data.batches import epoch_key
from jaxcnn.host.errors import InputError
from jaxcnn.training.plan import prepare
from jaxcnn.training.run import Run

KEYS = jax.random.split(jax.random.key(0), 4000)
RNG = np.random.default_rng(0)
ONE, OTHER = (jnp.asarray(RNG.normal(size=(30, 8, 6, 3)), jnp.float32) for _ in range(2))


def drawn(mixing: Mixing, shape=(8, 6, 3)) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in jax.vmap(lambda key: mixing.sample(key, shape))(KEYS).items()}


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_mixups_share_is_of_a_beta_distribution(alpha):
    from scipy import stats

    assert stats.kstest(drawn(MixUp(alpha))["share"], stats.beta(alpha, alpha).cdf).pvalue > 1e-3


def test_mixups_mixture_is_that_of_the_pixels():
    mixed = np.asarray(MixUp().mix(ONE[0], OTHER[0], {"share": jnp.float32(0.3)}))
    np.testing.assert_allclose(mixed, 0.3 * ONE[0] + 0.7 * OTHER[0], rtol=1e-5, atol=1e-6)  # float32


def test_cutmix_puts_a_rectangle_of_the_other_image_in_and_counts_the_pixels_that_stay():
    numbers = drawn(CutMix())
    for index in range(200):
        one = {name: jnp.asarray(value[index]) for name, value in numbers.items()}
        mixed = np.asarray(CutMix().mix(jnp.zeros((8, 6, 1)), jnp.ones((8, 6, 1)), one))[..., 0]
        (top, left), (bottom, right) = numbers["low"][index], numbers["high"][index]
        expected = np.zeros((8, 6))
        expected[top:bottom, left:right] = 1
        assert (mixed == expected).all()
        assert numbers["share"][index] == pytest.approx(1 - mixed.mean(), abs=1e-6)


def test_cutmixs_rectangle_has_the_images_proportions_where_it_is_not_cut_at_the_edge():
    size = 1000
    numbers = drawn(CutMix(), (size, size, 3))
    low, high = numbers["low"], numbers["high"]
    inside = ((low > 0) & (high < size)).all(1)
    sides = (high - low)[inside]
    assert inside.any() and np.abs(sides[:, 0] - sides[:, 1]).max() <= 1  # each edge is rounded
    # of Beta(1, 1), where what is beyond the edge is cut off: 0.321, by a million draws in NumPy
    assert abs(np.mean(1 - numbers["share"]) - 0.321) < 5 * 0.24 / np.sqrt(len(KEYS))


def test_the_probability_is_how_often_images_are_mixed():
    share = drawn(MixUp(1.0, probability=0.25))["share"]
    assert abs((share < 1).mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / len(KEYS))  # five deviations


@pytest.mark.thorough
def test_of_several_mixtures_one_is_drawn_for_each_image():
    key, ids = epoch_key(0, 0), jnp.arange(30)
    both = (MixUp(), CutMix())
    mixed, share = mix(ONE, OTHER, ids, key, both)
    alone = [mix(ONE, OTHER, ids, key, [each]) for each in both]
    of = np.stack([(np.asarray(mixed) == np.asarray(each)).all((1, 2, 3)) for each, _ in alone])
    assert (of.sum(0) >= 1).all() and of.any(1).all()
    for number, (_, shares) in enumerate(alone):
        assert (np.asarray(share)[of[number]] == np.asarray(shares)[of[number]]).all()


@pytest.mark.thorough
def test_a_mixture_does_not_depend_on_the_batch():
    key, ids, some = epoch_key(0, 2), jnp.arange(30), jnp.array([17, 3])
    whole, share = mix(ONE, OTHER, ids, key, (MixUp(), CutMix()))
    part, of_part = mix(ONE[some], OTHER[some], some, key, (MixUp(), CutMix()))
    assert (whole[some] == part).all() and (share[some] == of_part).all()
    assert (mix(ONE, OTHER, ids, epoch_key(0, 3), (MixUp(),))[1] != mix(ONE, OTHER, ids, key, (MixUp(),))[1]).any()


def test_a_runs_images_are_mixed_with_the_next_of_the_epochs_order_whatever_the_batch_size(tmp_path):
    partners = []
    for size in 128, 96:
        config = TrainConfig(network="mlp", data=DataConfig(augment=(MixUp(),)), batch_size=size)
        batches = list(Run(prepare(config), tmp_path).batches(1, 0))
        found = {}
        for batch in batches:
            kept = np.asarray(batch.mask) > 0
            found |= dict(
                zip(np.asarray(batch.ids)[kept].tolist(), np.asarray(batch.others.ids)[kept].tolist(), strict=True)
            )
        partners.append(found)
    assert partners[0] == partners[1] and len(partners[0]) == 1438
    assert sorted(partners[0].values()) == list(range(1438)) and all(one != other for one, other in partners[0].items())


def test_a_mixture_comes_last():
    assert split_mixtures((Crop(2), Flip(), MixUp())) == ((Crop(2), Flip()), (MixUp(),))
    with pytest.raises(ValueError, match="mixup mixes images that are ready: it must come last"):
        split_mixtures((MixUp(), Flip()))
    with pytest.raises(InputError, match=r"data\.augment: mixup mixes"):
        prepare(TrainConfig(network="mlp", data=DataConfig(augment=(MixUp(), Flip()))))
    with pytest.raises(InputError, match="cutmix's alpha must be positive"):
        CutMix(0.0)
