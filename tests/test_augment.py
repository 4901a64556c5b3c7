"""Batches and augmentation: functions of (seed, epoch, step) and (seed, epoch, image)."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.data.augment import augment, channel_statistics, normalize, random_flip
from jaxcnn.data.batches import epoch_key, epoch_order, gather, padded

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 6, 5, 3), dtype=np.uint8)


def test_every_epoch_visits_every_image_once_in_an_order_of_its_own():
    orders = [epoch_order(0, epoch, 100) for epoch in range(3)] + [epoch_order(1, 0, 100)]
    for order in orders:
        assert sorted(order) == list(range(100))
    assert len({tuple(order) for order in orders}) == 4
    assert (epoch_order(0, 2, 100) == orders[2]).all()


def test_the_last_batch_is_padded_and_masked():
    batches = list(padded(np.arange(10, dtype=np.int32), 4))
    assert [ids.tolist() for ids, _ in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 0, 0]]
    assert [mask.tolist() for _, mask in batches] == [[1] * 4, [1] * 4, [1, 1, 0, 0]]


def test_starting_at_a_later_step_gives_the_same_batches():
    order = epoch_order(0, 0, 10)
    for (a, _), (b, _) in zip(list(padded(order, 4))[1:], padded(order, 4, first=1), strict=True):
        assert (a == b).all()


def test_gather_fetches_images_and_labels_by_id():
    batch = gather(jnp.asarray(IMAGES), jnp.arange(40), jnp.array([7, 3]), jnp.ones(2))
    assert (batch.images == IMAGES[[7, 3]]).all()
    assert batch.labels.tolist() == [7, 3]


def test_channel_statistics_are_those_of_the_pixels_in_float64():
    mean, std = channel_statistics(IMAGES)
    pixels = IMAGES.astype(np.float64) / 255
    # sums of 1,200 float64 numbers in another order
    np.testing.assert_allclose(mean, pixels.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, pixels.std((0, 1, 2)), rtol=1e-12)


def test_a_channel_that_never_varies_is_not_divided_by_zero():
    assert channel_statistics(np.full((2, 3, 3, 1), 51, np.uint8)) == ((51 / 255,), (1.0,))


def test_normalized_training_images_have_mean_zero_and_deviation_one():
    images = normalize(jnp.asarray(IMAGES), *channel_statistics(IMAGES))
    # float32 rounding of values up to 2, averaged over 1,200 of them
    np.testing.assert_allclose(images.mean((0, 1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(images.std((0, 1, 2)), 1, atol=1e-6)


def test_what_happens_to_an_image_depends_on_its_id_and_not_on_its_batch():
    key = epoch_key(0, 3)
    ids = jnp.arange(40)
    whole = augment(jnp.asarray(IMAGES), ids, key, 2, True)
    part = augment(jnp.asarray(IMAGES[[31, 4]]), ids[jnp.array([31, 4])], key, 2, True)
    assert (whole[jnp.array([31, 4])] == part).all()
    assert (augment(jnp.asarray(IMAGES), ids, epoch_key(0, 4), 2, True) != whole).any()
    assert (augment(jnp.asarray(IMAGES), ids, epoch_key(1, 3), 2, True) != whole).any()


def test_every_crop_is_a_window_of_the_padded_image_and_all_places_occur():
    image = np.arange(1, 31, dtype=np.uint8).reshape(1, 6, 5, 1)
    many = jnp.asarray(np.repeat(image, 400, axis=0))
    crops = np.asarray(augment(many, jnp.arange(400), epoch_key(0, 0), 1, False))
    around = np.pad(image[0], ((1, 1), (1, 1), (0, 0)))
    windows = {around[r : r + 6, c : c + 5].tobytes() for r in range(3) for c in range(3)}
    assert {crop.tobytes() for crop in crops} == windows


def test_half_of_the_images_are_mirrored():
    keys = jax.random.split(jax.random.key(0), 2000)
    image = jnp.asarray(np.arange(12, dtype=np.uint8).reshape(1, 2, 6, 1))
    flipped = np.asarray(random_flip(jnp.repeat(image, 2000, axis=0), keys))
    mirrored = (flipped == np.asarray(image)[:, :, ::-1]).all((1, 2, 3))
    same = (flipped == np.asarray(image)).all((1, 2, 3))
    assert (mirrored ^ same).all()
    assert abs(mirrored.mean() - 0.5) < 5 * 0.5 / np.sqrt(2000)  # five standard deviations of a fair coin


def test_no_augmentation_changes_nothing():
    assert (augment(jnp.asarray(IMAGES), jnp.arange(40), epoch_key(0, 0), 0, False) == IMAGES).all()
