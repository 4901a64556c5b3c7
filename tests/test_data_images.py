"""One file's bytes to pixels: orientation, color, depth, size, and bytes that are no image."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from image_folders import encoded
from PIL import Image

from jaxcnn.data.config import DataConfig
from jaxcnn.data.images import decode, read_image
from jaxcnn.data.resize import fit
from jaxcnn.data.stack import stack
from jaxcnn.host.errors import InputError

RGB = np.random.default_rng(1).integers(0, 256, (6, 9, 3), dtype=np.uint8)


def test_a_png_keeps_every_pixel(tmp_path):
    for name, pixels in (("color.png", RGB), ("gray.PNG", RGB[..., :1])):
        Image.fromarray(pixels.squeeze()).save(tmp_path / name)
        image = read_image(tmp_path / name)
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(image, pixels)


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, RGB),
        (2, RGB[:, ::-1]),
        (3, RGB[::-1, ::-1]),
        (4, RGB[::-1]),
        (5, RGB.swapaxes(0, 1)),
        (6, np.rot90(RGB, -1)),
        (7, RGB[::-1, ::-1].swapaxes(0, 1)),
        (8, np.rot90(RGB)),
    ],
)
def test_exif_turns_a_photograph_upright(orientation: int, upright: np.ndarray):
    exif = Image.Exif()
    exif[0x0112] = orientation  # EXIF 2.32, section 4.6.4: Orientation
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(RGB), exif=exif), "a.png"), upright)


def test_broken_exif_does_not_lose_a_sound_image():
    data = encoded(Image.fromarray(RGB), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x09\x01\x12\xff\xff")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of the corrupt EXIF
        assert decode(data, "a.jpg").shape == (6, 9, 3)


def test_sixteen_bit_gray_is_scaled_to_eight():
    values = np.array([[0, 128, 129, 257], [25700, 32768, 65406, 65535]], np.uint16)
    image = decode(encoded(Image.fromarray(values)), "a.png")
    np.testing.assert_array_equal(image[..., 0], [[0, 0, 1, 1], [100, 128, 254, 255]])


def test_every_kind_of_color_becomes_gray_or_rgb():
    picture = Image.fromarray(RGB)
    exact = {"RGBA": "PNG"}
    for mode, kind in {"RGBA": "PNG", "CMYK": "JPEG", "P": "PNG", "1": "PNG", "LA": "PNG"}.items():
        image = decode(encoded(picture.convert(mode), kind), f"a.{kind}")
        assert image.shape == (6, 9, 1 if mode in ("1", "LA") else 3), mode
        if mode in exact:
            np.testing.assert_array_equal(image, RGB)
    bits = decode(encoded(picture.convert("1")), "a.png")
    assert set(np.unique(bits)) == {0, 255}


def test_gray_and_color_convert_into_each_other():
    gray = fit(RGB, channels=1)
    luma = RGB @ np.array([0.299, 0.587, 0.114])
    assert np.abs(gray[..., 0] - luma).max() <= 1  # Pillow computes the luma in fixed point
    np.testing.assert_array_equal(fit(gray, channels=3), np.repeat(gray, 3, axis=2))


def test_size_is_height_then_width():
    assert fit(RGB, size=(12, 5)).shape == (12, 5, 3)
    assert fit(RGB[..., :1], size=(12, 5)).shape == (12, 5, 1)
    assert fit(RGB, size=(6, 9)) is RGB


def test_shrinking_averages_instead_of_picking():
    checkers = np.indices((64, 64)).sum(0) % 2 * 255
    small = fit(checkers.astype(np.uint8)[..., np.newaxis], size=(8, 8))
    assert np.abs(small.astype(int) - 128).max() <= 2  # the mean, but for the triangle's cut at the border


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_truncated_image_is_named(kind: str):
    data = encoded(Image.fromarray(np.tile(RGB, (10, 10, 1))), kind)
    for length in (len(data) // 3, len(data) // 2, len(data) - 40):
        with pytest.raises(InputError, match=r"photo\.x is a damaged image: .*truncated"):
            decode(data[:length], "photo.x")


@pytest.mark.parametrize(
    ("data", "instead"),
    [
        (b"", "it is empty"),
        (b"hello", r"Pillow knows no such format \(5 bytes\)"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of git-lfs"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC photograph, .* convert it to JPEG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no such format"),  # Pillow would run Ghostscript
    ],
)
def test_a_file_that_is_no_image_is_named(data: bytes, instead: str):
    with pytest.raises(InputError, match=rf"photo\.jpg cannot be read as an image: .*{instead}"):
        decode(data, "photo.jpg")


def test_whatever_the_damage_the_file_is_named():
    rng = np.random.default_rng(0)
    sound = {kind: encoded(Image.fromarray(np.tile(RGB, (5, 5, 1))), kind) for kind in ("PNG", "JPEG")}
    named = 0
    for number in range(400):
        data = bytearray(sound["PNG" if number % 2 else "JPEG"])
        for place in rng.integers(0, len(data), 3):
            data[place] = rng.integers(0, 256)
        try:
            decode(bytes(data), "photo.x")
        except InputError as error:
            assert str(error).startswith(("photo.x is ", "photo.x cannot be read as an image: "))
            named += 1
    assert named > 100


def test_images_are_stacked_by_row_and_none_may_be_missing():
    flipped = RGB[:, ::-1]
    stacked = stack(2, [(1, "b", flipped), (0, "a", RGB)], DataConfig())
    np.testing.assert_array_equal(stacked, [RGB, flipped])
    with pytest.raises(InputError, match="of 3 images only 2 were still there to be read"):
        stack(3, [(1, "b", flipped), (0, "a", RGB)], DataConfig())


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(InputError, match=r"there is no image \S+none\.png"):
        read_image(tmp_path / "none.png")
    with pytest.raises(InputError, match=f"{tmp_path} cannot be read: Is a directory"):
        read_image(tmp_path)
