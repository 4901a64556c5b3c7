"""Files of arrays: read as written, refused with a sentence where damaged, and never executed."""

from __future__ import annotations

import json
import struct
import tracemalloc
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from jaxcnn.host.errors import InputError
from jaxcnn.weights.files import read, write

ARRAYS = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "file": np.array([1, -2], np.int64),  # np.savez would not take this name
    "scalar": np.array(3.5, np.float64),
    "empty": np.zeros((0, 4), np.float32),
}


def assert_same(one, other):
    assert sorted(one) == sorted(other)
    for name, array in one.items():
        np.testing.assert_array_equal(np.asarray(other[name]), array)
        assert np.asarray(other[name]).dtype == array.dtype and tuple(other[name].shape) == array.shape


def refused(file: Path, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as error:
        read(file)
    assert str(file) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("ending", [".safetensors", ".npz", ".pth"])
def test_what_is_written_is_read(tmp_path, ending):
    file = tmp_path / f"weights{ending}"
    write(file, ARRAYS)
    assert_same(ARRAYS, read(file))
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_pytorch_reads_what_is_written(tmp_path):
    torch = pytest.importorskip("torch")
    kinds = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"]
    arrays = {kind: np.array([[0, 1, 2], [3, 4, 5]]).astype(kind) for kind in kinds}
    arrays |= {"complex": np.array([1j]), "transposed": np.arange(6.0).reshape(2, 3).T, **ARRAYS}
    write(tmp_path / "a.pth", arrays)
    held = torch.load(tmp_path / "a.pth", weights_only=True)
    assert list(held) == list(arrays)
    for name, array in arrays.items():
        found = held[name].float() if name == "bfloat16" else held[name]
        np.testing.assert_array_equal(found.numpy(), array, err_msg=name)
        assert held[name].is_contiguous() and str(held[name].dtype) == f"torch.{array.dtype.name}"
    torch.nn.Linear(3, 2).load_state_dict({"weight": held["float32"], "bias": held["float32"][:, 0]})
    with pytest.raises(InputError, match=r"a is of <U1, which a \.pth file does not keep"):
        write(tmp_path / "b.pth", {"a": np.array("x")})


def safetensors(header: dict, body: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def test_safetensors_as_the_format_says(tmp_path):
    header = {
        "__metadata__": {"format": "pt"},
        "half": {"dtype": "BF16", "shape": [2, 1], "data_offsets": [0, 4]},
        "bytes": {"dtype": "U8", "shape": [3], "data_offsets": [4, 7]},
    }
    (tmp_path / "a.safetensors").write_bytes(safetensors(header, b"\x80\x3f\x00\xc0" + bytes([1, 2, 3])))
    held = read(tmp_path / "a.safetensors")
    assert_same(held, {"half": np.array([[1], [-2]], ml_dtypes.bfloat16), "bytes": np.array([1, 2, 3], np.uint8)})


def test_every_type_of_numbers_that_safetensors_has_is_written_and_read(tmp_path):
    kinds = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint64", "uint32"]
    arrays = {kind: np.array([[1], [2]]).astype(kind) for kind in [*kinds, "uint16", "uint8", "bool"]}
    arrays["transposed"] = np.arange(6.0).reshape(2, 3).T
    write(tmp_path / "a.safetensors", arrays)
    assert_same(arrays, read(tmp_path / "a.safetensors"))


F4 = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


DAMAGED = {
    "short": b"\x01",
    "huge header": struct.pack("<Q", 1 << 60),
    "no JSON": struct.pack("<Q", 5) + b"{nope",
    "cut": safetensors({"a": F4 | {"data_offsets": [0, 8]}}, b"1234"),
    "negative": safetensors({"a": F4 | {"data_offsets": [-4, 4]}}, b"1234"),
    "shape": safetensors({"a": F4 | {"shape": [2]}}, b"1234"),
    "no shape": safetensors({"a": F4 | {"shape": [-1]}}, b"1234"),
    "a shape without end": safetensors({"a": F4 | {"shape": [1 << 62, 1 << 62]}}, b"1234"),
    "dtype": safetensors({"a": F4 | {"dtype": "F128"}}, b"1234"),
    "a dtype that NumPy has not": safetensors({"a": F4 | {"dtype": "F8_E4M3", "shape": [4]}}, b"1234"),
    "deep": struct.pack("<Q", 100_000) + b"{" * 100_000,
    "entry": safetensors({"a": 3}, b"1234"),
    "overlapping": safetensors({"a": F4, "b": F4}, b"1234"),
    "overlapping in part": safetensors({"a": F4, "b": F4 | {"data_offsets": [2, 6]}}, b"123456"),
    "a hole": safetensors({"a": F4 | {"data_offsets": [4, 8]}}, b"12345678"),
    "more than is named": safetensors({"a": F4}, b"12345678"),
    # a tensor of 7.5 GB, a hundred times the same bytes: half a gigabyte in memory for each megabyte of the file
    "the same bytes again and again": safetensors({f"t{i}": F4 for i in range(100)}, b"1234"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_safetensors_are_refused(tmp_path, damage):
    file = tmp_path / "bad.safetensors"
    file.write_bytes(DAMAGED[damage])
    refused(file, "is not a sound safetensors file: .")


def test_an_npz_with_objects_is_not_unpickled(tmp_path):
    np.savez(tmp_path / "bad.npz", a=np.array([Trap(tmp_path / "ran")], object))
    refused(tmp_path / "bad.npz", "is not a sound .npz file")
    assert not (tmp_path / "ran").exists()


def test_a_file_that_is_no_npz_is_refused(tmp_path):
    for content in b"PK\x03\x04 and then nothing", b"neither a pickle", b"":
        (tmp_path / "bad.npz").write_bytes(content)
        refused(tmp_path / "bad.npz", r"is not a sound \.npz file of arrays: it (is a zip archive that|begins with)")


def test_an_npz_with_a_damaged_array_is_refused(tmp_path):
    np.savez_compressed(tmp_path / "bad.npz", a=np.random.default_rng(0).normal(size=1000))
    content = bytearray((tmp_path / "bad.npz").read_bytes())
    content[200:260] = bytes(255 - byte for byte in content[200:260])
    (tmp_path / "bad.npz").write_bytes(content)
    refused(tmp_path / "bad.npz", "is not a sound .npz file of arrays")


def npy(shape, dtype="<f4", data=b""):
    header = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (npy((1 << 40,)), r"a\.npy claims more numbers than it has"),
        (npy((1 << 62, 4)), "claims more numbers than it has"),
        (npy((-3,)), "claims more numbers than it has"),
        (npy((2,), "|O", b"N."), "holds objects"),
        (npy((2,), data=b"1234"), "claims more numbers than it has"),
        (npy("(", data=b"1234"), ""),
        (b"\x93NUMPY", ""),
    ],
    ids=["4 TiB", "more than can be counted", "negative", "objects", "cut", "header", "short"],
)
def test_an_npz_that_claims_more_than_it_has_is_refused_before_memory_is_taken(content, sentence, tmp_path):
    with zipfile.ZipFile(tmp_path / "bad.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", content)
    tracemalloc.start()
    refused(tmp_path / "bad.npz", f"is not a sound .npz file of arrays: .*{sentence}")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 24


def test_an_npz_that_unpacks_without_end_is_refused(tmp_path):
    np.savez_compressed(tmp_path / "bad.npz", a=np.zeros(20_000_000, np.float32))  # 80 MB in 78 kB
    refused(tmp_path / "bad.npz", r"its 7\d,\d\d\d bytes of parts would become 80,000,1\d\d$")


def test_a_part_of_an_archive_that_claims_to_be_longer_than_it_is_refused(tmp_path):
    """In the directory at the end, where sizes stand 20 and 24 bytes behind the signature of an entry."""
    write(tmp_path / "a.npz", ARRAYS)
    content = bytearray((tmp_path / "a.npz").read_bytes())
    entry = content.index(b"PK\x01\x02")
    content[entry + 20 : entry + 24] = struct.pack("<I", 1 << 30)
    (tmp_path / "a.npz").write_bytes(content)
    tracemalloc.start()
    refused(tmp_path / "a.npz", "its parts are longer than the file$")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 24


def test_an_npz_of_every_order_and_of_no_arrays_is_read(tmp_path):
    arrays = {"c": np.arange(6.0).reshape(2, 3), "f": np.asfortranarray(np.arange(6).reshape(2, 3)), "s": np.array(1)}
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    assert_same(arrays, read(tmp_path / "a.npz"))
    np.savez(tmp_path / "none.npz")
    assert read(tmp_path / "none.npz") == {}


@pytest.mark.parametrize("name", ["a.pth", "a.bin", "model.ckpt", "weights"])
def test_a_name_tells_nothing(name, tmp_path):
    for number, ending in enumerate((".safetensors", ".npz")):
        write(tmp_path / f"w{ending}", ARRAYS)
        file = (tmp_path / f"w{ending}").rename(tmp_path / f"{number}{name}")
        assert_same(ARRAYS, read(file))


OTHERS = {
    "a pointer of git-lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
    "a web page": b"\n<!DOCTYPE html><html><title>404</title>",
}


@pytest.mark.parametrize("what", OTHERS)
@pytest.mark.parametrize("name", ["a.pth", "a.safetensors", "a.npz", "weights"])
def test_what_is_no_file_of_weights_is_told(what, name, tmp_path):
    (tmp_path / name).write_bytes(OTHERS[what])
    refused(tmp_path / name, f"is {what}, not ")


def test_archives_of_other_things_are_told(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("word/document.xml", "")
    refused(tmp_path / "a.pth", r"is a zip archive of word/document\.xml, not a file of weights")
    (tmp_path / "a.pth").write_bytes(b"PK\x03\x04 and then nothing")
    refused(tmp_path / "a.pth", "is not a sound PyTorch file: it is a zip archive that is cut off or damaged")


class Trap:
    """Unpickled, it would make a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return (Path.touch, (self.file,))


def test_missing_files_and_other_endings_are_refused(tmp_path):
    refused(tmp_path / "absent.npz", "there is no file of weights")
    refused(tmp_path, "is a folder without weights$")
    (tmp_path / "model.onnx").touch()
    refused(tmp_path / "model.onnx", r"is in none of the formats of weights, which are those of \.safetensors, \.npz")
    refused(tmp_path / ("a" * 300), "cannot be read: File name too long")
    with pytest.raises(InputError, match="holds a NUL character"):
        read("a\0b.npz")
    with pytest.raises(InputError, match="there is no user nobody-of-that-name"):
        read("~nobody-of-that-name/a.npz")
    with pytest.raises(InputError, match=r"must end in \.safetensors"):
        write(tmp_path / "model.onnx", ARRAYS)
    with pytest.raises(InputError, match=r"a\.npz cannot be written: there is no folder .*absent"):
        write(tmp_path / "absent" / "a.npz", ARRAYS)
    with pytest.raises(InputError, match=r"half is of bfloat16, which \.npz does not keep: write .safetensors"):
        write(tmp_path / "a.npz", {"half": np.ones(2, ml_dtypes.bfloat16)})


def test_a_failed_write_leaves_the_old_file(tmp_path):
    file = tmp_path / "a.safetensors"
    write(file, ARRAYS)
    with pytest.raises(InputError, match="complex64"):
        write(file, {"a": np.ones(2, np.complex64)})
    assert_same(ARRAYS, read(file))
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
