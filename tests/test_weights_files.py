"""Files of arrays: read as written, refused with a sentence where damaged, and never executed."""

from __future__ import annotations

import json
import pickle
import struct
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from jaxcnn.errors import InputError
from jaxcnn.weights.files import read, write

ARRAYS = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "file": np.array([1, -2], np.int64),  # np.savez would not take this name
    "scalar": np.array(3.5, np.float64),
    "empty": np.zeros((0, 4), np.float32),
}


def assert_same(one, other):
    assert list(one) == list(other)
    for name, array in one.items():
        np.testing.assert_array_equal(np.asarray(other[name]), array)
        assert np.asarray(other[name]).dtype == array.dtype and tuple(other[name].shape) == array.shape


def refused(file: Path, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as error:
        read(file)
    assert str(file) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("ending", [".safetensors", ".npz", ".pth"])
def test_what_is_written_is_read(tmp_path, ending):
    if ending == ".pth":
        pytest.importorskip("torch")
    file = tmp_path / f"weights{ending}"
    write(file, ARRAYS)
    assert_same(ARRAYS, read(file))
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_the_safetensors_library_reads_what_is_written_and_writes_what_is_read(tmp_path):
    library = pytest.importorskip("safetensors.numpy")
    write(tmp_path / "ours.safetensors", ARRAYS)
    assert_same(dict(sorted(ARRAYS.items())), dict(sorted(library.load_file(tmp_path / "ours.safetensors").items())))
    library.save_file(ARRAYS, tmp_path / "theirs.safetensors", metadata={"format": "np"})
    assert_same(dict(sorted(ARRAYS.items())), dict(sorted(read(tmp_path / "theirs.safetensors").items())))


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


F4 = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x01",
        struct.pack("<Q", 1 << 60),
        struct.pack("<Q", 5) + b"{nope",
        safetensors({"a": F4 | {"data_offsets": [0, 8]}}, b"1234"),
        safetensors({"a": F4 | {"data_offsets": [-4, 4]}}, b"1234"),
        safetensors({"a": F4 | {"shape": [2]}}, b"1234"),
        safetensors({"a": F4 | {"shape": [-1]}}, b"1234"),
        safetensors({"a": F4 | {"dtype": "F128"}}, b"1234"),
        struct.pack("<Q", 100_000) + b"[" * 100_000,
        safetensors({"a": 3}, b"1234"),
        struct.pack("<Q", 2) + b"[]",
    ],
    ids=[
        "empty",
        "short",
        "huge header",
        "no JSON",
        "cut",
        "negative",
        "shape",
        "no shape",
        "dtype",
        "deep",
        "entry",
        "list",
    ],
)
def test_damaged_safetensors_are_refused(tmp_path, content):
    file = tmp_path / "bad.safetensors"
    file.write_bytes(content)
    refused(file, "is not a sound safetensors file")


def test_an_npz_with_objects_is_not_unpickled(tmp_path):
    np.savez(tmp_path / "bad.npz", a=np.array([Trap(tmp_path / "ran")], object))
    refused(tmp_path / "bad.npz", "is not a sound .npz file")
    assert not (tmp_path / "ran").exists()


def test_a_file_that_is_no_npz_is_refused(tmp_path):
    for content in b"PK\x03\x04 and then nothing", b"neither a pickle", b"":
        (tmp_path / "bad.npz").write_bytes(content)
        refused(tmp_path / "bad.npz", "is not a sound .npz file of arrays: it is no zip archive$")


def test_an_npz_with_a_damaged_array_is_refused(tmp_path):
    np.savez_compressed(tmp_path / "bad.npz", a=np.random.default_rng(0).normal(size=1000))
    content = bytearray((tmp_path / "bad.npz").read_bytes())
    content[200:260] = bytes(255 - byte for byte in content[200:260])
    (tmp_path / "bad.npz").write_bytes(content)
    refused(tmp_path / "bad.npz", "is not a sound .npz file of arrays")


class Trap:
    """Unpickled, it would make a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return (Path.touch, (self.file,))


@pytest.mark.parametrize("form", ["plain pickle", "PyTorch's zip"])
def test_a_malicious_pickle_does_not_run(tmp_path, form):
    torch = pytest.importorskip("torch")
    file, ran = tmp_path / "bad.pth", tmp_path / "ran"
    if form == "plain pickle":
        file.write_bytes(pickle.dumps({"state_dict": Trap(ran)}, protocol=2))
    else:
        torch.save({"state_dict": {"a": torch.ones(2)}, "trap": Trap(ran)}, file)
        assert zipfile.is_zipfile(file)
    refused(file, "holds more than tensors, and was not run|is not a sound PyTorch file")
    assert not ran.exists()
    pickle.loads(pickle.dumps(Trap(ran)))
    assert ran.exists()  # the trap works where pickles are run


def test_pytorch_files_of_other_things_are_refused(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save([torch.ones(2)], tmp_path / "list.pt")
    refused(tmp_path / "list.pt", "holds a list, not a dict of tensors")
    for content in b"<html>404</html>", b"hi", b"", b"PK\x03\x04 and then nothing":
        (tmp_path / "text.pth").write_bytes(content)
        refused(tmp_path / "text.pth", "holds more than tensors|is not a sound PyTorch file: [A-Za-z]{2}")


def test_missing_files_and_other_endings_are_refused(tmp_path):
    refused(tmp_path / "absent.npz", "there is no file of weights")
    refused(tmp_path, "is a folder$")
    (tmp_path / "model.onnx").touch()
    refused(tmp_path / "model.onnx", r"must end in \.safetensors, \.npz, \.pth")
    with pytest.raises(InputError, match=r"must end in \.safetensors"):
        write(tmp_path / "model.onnx", ARRAYS)
    with pytest.raises(InputError, match="cannot be written"):
        write(tmp_path / "absent" / "a.npz", ARRAYS)
    with pytest.raises(InputError, match=r"half is of bfloat16, which \.npz does not keep: write .safetensors"):
        write(tmp_path / "a.npz", {"half": np.ones(2, ml_dtypes.bfloat16)})
    pytest.importorskip("torch")
    with pytest.raises(InputError, match=r"a\.pth cannot be written"):
        write(tmp_path / "absent" / "a.pth", ARRAYS)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    file = tmp_path / "a.safetensors"
    write(file, ARRAYS)
    with pytest.raises(InputError, match="complex64"):
        write(file, {"a": np.ones(2, np.complex64)})
    assert_same(ARRAYS, read(file))
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
