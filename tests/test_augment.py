"""Batches and augmentation: functions of (seed, epoch, step) and (seed, epoch, image)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn.data.augment import AlternatingFlip, Crop, Flip, augment, sample
from jaxcnn.data.batches import balanced_order, epoch_key, epoch_order, gather, padded, repeated_order, turn
from jaxcnn.data.pixels import channel_statistics, normalize

BOTH = (Crop(2), Flip())
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
    whole = augment(jnp.asarray(IMAGES), ids, key, BOTH)
    part = augment(jnp.asarray(IMAGES[[31, 4]]), ids[jnp.array([31, 4])], key, BOTH)
    assert (whole[jnp.array([31, 4])] == part).all()
    assert (augment(jnp.asarray(IMAGES), ids, epoch_key(0, 4), BOTH) != whole).any()
    assert (augment(jnp.asarray(IMAGES), ids, epoch_key(1, 3), BOTH) != whole).any()


def test_every_crop_is_a_window_of_the_padded_image_and_all_places_occur():
    image = np.arange(1, 31, dtype=np.uint8).reshape(1, 6, 5, 1)
    many = jnp.asarray(np.repeat(image, 400, axis=0))
    crops = np.asarray(augment(many, jnp.arange(400), epoch_key(0, 0), (Crop(1),)))
    around = np.pad(image[0], ((1, 1), (1, 1), (0, 0)))
    windows = {around[r : r + 6, c : c + 5].tobytes() for r in range(3) for c in range(3)}
    assert {crop.tobytes() for crop in crops} == windows


def test_half_of_the_images_are_mirrored():
    keys = jax.random.split(jax.random.key(0), 2000)
    image = jnp.asarray(np.arange(12, dtype=np.uint8).reshape(1, 2, 6, 1))
    flipped = np.asarray(jax.vmap(Flip())(keys, jnp.repeat(image, 2000, axis=0)))
    mirrored = (flipped == np.asarray(image)[:, :, ::-1]).all((1, 2, 3))
    same = (flipped == np.asarray(image)).all((1, 2, 3))
    assert (mirrored ^ same).all()
    assert abs(mirrored.mean() - 0.5) < 5 * 0.5 / np.sqrt(2000)  # five standard deviations of a fair coin


def test_no_augmentation_changes_nothing():
    assert (augment(jnp.asarray(IMAGES), jnp.arange(40), epoch_key(0, 0), ()) == IMAGES).all()


def test_an_augmentation_does_not_depend_on_those_beside_it():
    ids, key = jnp.arange(40), epoch_key(0, 0)
    both = augment(jnp.asarray(IMAGES), ids, key, (Flip(1.0), Crop(2)))
    alone = augment(jnp.asarray(IMAGES[:, :, ::-1]), ids, key, (Crop(2),))
    assert (both == alone).all()


def test_the_second_of_a_kind_draws_other_numbers():
    once = augment(jnp.asarray(IMAGES), jnp.arange(40), epoch_key(0, 0), (Flip(),))
    twice = augment(jnp.asarray(IMAGES), jnp.arange(40), epoch_key(0, 0), (Flip(), Flip()))
    assert (twice != once).any() and (twice != IMAGES).any()


def test_a_repeated_order_shows_an_image_several_times_in_a_row_and_changes_it_anew():
    order = repeated_order(0, 1, 100, 3)
    places, times = order % 100, order // 100
    assert len(order) == 100 and (places[:3] == places[0]).all() and times[:4].tolist() == [0, 1, 2, 0]
    assert len(set(places)) == 34 and len(set(order)) == 100
    assert (repeated_order(0, 1, 100, 1) == epoch_order(0, 1, 100)).all()
    images = np.repeat(IMAGES[:1], 3, axis=0)
    many = augment(jnp.asarray(images), jnp.array([0, 100, 200]), epoch_key(0, 0), (Crop(2),))
    assert len({np.asarray(image).tobytes() for image in many}) > 1


def test_a_balanced_order_shows_every_class_as_often():
    labels = np.repeat([0, 1, 2, 4], [50, 30, 19, 4])
    for epoch in range(4):
        order = balanced_order(0, epoch, labels)
        places = order % len(labels)
        counts = np.bincount(labels[places], minlength=5)
        assert len(order) == 103 and counts[3] == 0 and set(counts[[0, 1, 2, 4]]) == {25, 26}
        for label in 0, 1, 2, 4:
            shown = np.bincount(places[labels[places] == label], minlength=len(labels))[labels == label]
            assert shown.max() - shown.min() <= 1
        assert len(set(order)) == len(order)  # each time with another key
        assert (np.diff(labels[places]) != 0).mean() > 0.5  # not class by class
    assert len({balanced_order(0, epoch, labels).tobytes() for epoch in range(4)}) == 4


def test_gather_finds_an_image_that_is_shown_again():
    batch = gather(jnp.asarray(IMAGES), jnp.arange(40), jnp.array([47, 83]), jnp.ones(2), jnp.array([5, 46]))
    assert batch.labels.tolist() == [7, 3] and batch.ids.tolist() == [47, 83]
    assert (batch.images == IMAGES[[7, 3]]).all() and batch.others.labels.tolist() == [5, 6]


def flips(seed: int, epoch: int, ids=tuple(range(200))) -> np.ndarray:
    drawn = sample((4, 4, 3), jnp.array(ids), epoch_key(seed, epoch), [AlternatingFlip()], turn(seed, epoch))
    return np.asarray(drawn[0]["applied"])


def test_an_alternating_flip_shows_every_image_both_ways_in_any_two_epochs():
    first = flips(0, 0)
    assert 70 < first.sum() < 130  # four deviations of 200 coins
    for epoch in range(1, 4):
        np.testing.assert_array_equal(flips(0, epoch), first ^ (epoch % 2 == 1))
    assert (flips(1, 0) != first).any()
    np.testing.assert_array_equal(flips(0, 3, (17, 3)), flips(0, 3)[[17, 3]])


def test_an_alternating_flip_asks_for_the_epoch():
    with pytest.raises(ValueError, match="alternating_flip follows from the epoch: give its turn"):
        sample((4, 4, 3), jnp.arange(2), jax.random.key(0), [AlternatingFlip()])
