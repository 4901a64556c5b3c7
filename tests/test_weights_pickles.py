"""Pickles read as data: what they hold is built, what they call is not called, and none takes all memory or time."""

from __future__ import annotations

import argparse
import datetime
import enum
import functools
import io
import os
import pickle
import struct
import subprocess
import tracemalloc
from collections import Counter, OrderedDict, defaultdict, deque
from pathlib import Path

import numpy as np
import pytest

from jaxcnn.host.errors import InputError
from jaxcnn.weights.files import read
from jaxcnn.weights.pickle_names import Record, WantsToRunError
from jaxcnn.weights.pickles import unpickle
from jaxcnn.weights.torch_tensors import CALLS, build

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
every_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)


def read_back(value, protocol):
    return unpickle(io.BytesIO(pickle.dumps(value, protocol)), CALLS, build)


# what is built


@every_protocol
@pytest.mark.parametrize(
    "value",
    [
        None, True, -1, 1 << 100, 0.1, float("inf"), "text ü", b"bytes \xff", bytearray(b"ab"), [1, [2]], (), (1,),
        (1, 2), (1, 2, 3, 4), {"a": {"b": 1}, 2: None, None: 0.5}, {1, 2}, frozenset("a"), OrderedDict(b=1, a=2),
        Counter("aab"), defaultdict(list, a=[1]), deque([1, 2]),
    ],
    ids=repr,
)  # fmt: skip
def test_numbers_texts_and_containers_are_what_python_reads(value, protocol):
    found = read_back(value, protocol)
    assert found == (list(value) if isinstance(value, deque) else value)
    if isinstance(value, dict):
        assert list(found) == list(value)


@every_protocol
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)), np.ones((), bool),
        np.arange(3, dtype=">f4"), np.array([1 + 2j]), np.zeros((0, 3), np.float16), np.float32(0.1), np.int64(-5),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)  # fmt: skip
def test_arrays_and_scalars_of_numpy_are_what_python_reads(array, protocol):
    found = read_back([array, array], protocol)
    np.testing.assert_array_equal(found[0], array)
    assert found[0] is found[1] and found[0].dtype == array.dtype and found[0].shape == array.shape


def test_one_object_under_two_names_is_one_object():
    shared = [1]
    one, other = read_back((shared, {"again": shared}), 2)
    assert one is other["again"]


class Phase(enum.Enum):
    TRAIN = "train"


@every_protocol
@pytest.mark.parametrize(
    "value",
    [
        argparse.Namespace(lr=0.1), Path("a/b"), datetime.datetime(2020, 1, 2), Phase.TRAIN,
        functools.partial(print, 1), np.array([None]), slice(1, 2), np.random.default_rng(0),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_other_objects_are_skipped_and_the_rest_is_read(value, protocol):
    found = read_back({"before": 1, "it": value, "after": [2]}, protocol)
    assert isinstance(found.pop("it"), Record) and found == {"before": 1, "after": [2]}


def test_a_list_or_a_dict_of_a_class_of_its_own_is_skipped():
    class_of_list = b"\x80\x02cmmcv\nList\n)\x81(K\x01K\x02e}X\x01\x00\x00\x00aK\x03sb."
    assert isinstance(unpickle(io.BytesIO(class_of_list)), Record)


# what is not called


class Trap:
    """Unpickled, it calls something."""

    def __init__(self, function, *arguments) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def system(ran):
    return Trap(os.system, f"echo > '{ran}'")


TRAPS = {
    "os.system": system,
    "os.mkdir": lambda ran: Trap(os.mkdir, str(ran)),
    "builtins.eval": lambda ran: Trap(eval, f"open({str(ran)!r}, 'w')"),
    "builtins.exec": lambda ran: Trap(exec, f"open({str(ran)!r}, 'w')"),
    "a method, by getattr": lambda ran: Trap(Path.touch, ran),
    "subprocess.Popen": lambda ran: Trap(subprocess.Popen, ["touch", str(ran)]),
    "in a list in a dict": lambda ran: {"model": [1, (system(ran),)]},
    "as an argument of a harmless one": lambda ran: Trap(Path, system(ran)),
    "as the state of a record": lambda ran: argparse.Namespace(a=system(ran)),
    "a partial, called": lambda ran: Trap(functools.partial(os.mkdir, str(ran))),
}


@every_protocol
@pytest.mark.parametrize("trap", TRAPS)
def test_what_a_pickle_calls_is_not_called(trap, protocol, tmp_path):
    ran, file = tmp_path / "ran", tmp_path / "bad.pkl"
    program = pickle.dumps(TRAPS[trap](ran), protocol)
    with pytest.raises(WantsToRunError):
        unpickle(io.BytesIO(program), CALLS, build)
    file.write_bytes(program)
    if protocol >= 2:  # before that nothing tells a pickle from a text
        with pytest.raises(InputError, match=r"bad\.pkl calls .*: nothing was run, and it is not read$"):
            read(file)
    assert not ran.exists()


def test_the_traps_would_work(tmp_path):
    for name in "os.mkdir", "builtins.exec", "a method, by getattr", "in a list in a dict":
        ran = tmp_path / name
        pickle.loads(pickle.dumps(TRAPS[name](ran)))
        assert ran.exists()


BY_HAND = {
    "STACK_GLOBAL": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.",
    "INST": b"(S'true'\nios\nsystem\n.",
    "OBJ": b"(cos\nsystem\nS'true'\no.",
    "NEWOBJ": b"\x80\x02csubprocess\nPopen\nX\x04\x00\x00\x00true\x85\x81.",
    "NEWOBJ_EX": b"\x80\x04csubprocess\nPopen\nX\x04\x00\x00\x00true\x85}\x92.",
    "by copyreg": b"ccopyreg\n__newobj__\n(cos\nsystem\nS'true'\ntR.",
    "of Python 2": b"c__builtin__\neval\n(S'1'\ntR.",
    "a dotted name": b"\x80\x04\x8c\x02os\x8c\x09path.join\x93\x8c\x01a\x85R.",
    "getattr of getattr": (
        b"cbuiltins\ngetattr\n(cbuiltins\ngetattr\n(cos\npath\nS'join'\ntRS'__globals__'\ntR."
    ),
    "getattr, called": b"cbuiltins\ngetattr\n(cmine\nthing\nS'run'\ntR)R.",
    "import": b"cimportlib\nimport_module\n(S'os'\ntR.",
    "torch.load's own way": b"ctorch._tensor\n_rebuild_from_type_v2\n(cos\nsystem\nNK\x01\x85Nt\x85R.",
}  # fmt: skip


@pytest.mark.parametrize("program", BY_HAND)
def test_no_instruction_calls_anything(program, monkeypatch):
    def called(*_):
        pytest.fail("it was called")

    monkeypatch.setattr(os, "system", called)
    monkeypatch.setattr(subprocess, "Popen", called)
    with pytest.raises((WantsToRunError, ValueError, TypeError)):
        unpickle(io.BytesIO(BY_HAND[program]), CALLS, build)


# what takes memory or time

TEXT = b"X" + struct.pack("<I", 100_000) + b"a" * 100_000 + b"q\x00"
BIG = (1 << 40).to_bytes(6, "little")
BOMBS = {
    "bytes that are not there": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b"a.",
    "a buffer of zeros": b"\x80\x02cbuiltins\nbytearray\n\x8a\x06" + BIG + b"\x85R.",
    "a text copied again and again": b"\x80\x02" + TEXT + b"(" + b"c_codecs\nencode\nh\x00\x85R" * 20_000 + b"t.",
    "a list copied again and again": b"\x80\x02(" + b"N" * 100_000 + b"lq\x00("
    + b"ccollections\ndeque\nh\x00\x85R" * 20_000 + b"t.",
    "a file in a pickle read again and again": b"\x80\x04B" + struct.pack("<I", 100_000) + b"a" * 100_000 + b"\x940("
    + b"ctorch.storage\n_load_from_bytes\nh\x00\x85R" * 20_000 + b"t.",
    "a number of a million digits": b"I" + b"9" * 1_000_000 + b"\n.",
    "numbers that are not there": pickle.dumps(np.ones(4), 2).replace(b"K\x04\x85", b"\x8a\x06" + BIG + b"\x85"),
    "an array of objects": pickle.dumps(np.ones(4), 2).replace(b"f8", b"O8"),
    "names without end": b"\x80\x02c" + b"a" * 100_000 + b"\nb\n)R.",
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS)
def test_what_takes_memory_is_refused_before_it_does(bomb):
    tracemalloc.start()
    try:
        found = unpickle(io.BytesIO(BOMBS[bomb]), CALLS, build)
    except (ValueError, OverflowError, TypeError):
        found = None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 25  # 32 MiB; each of them asks for a hundred times as much, or for 2^40 bytes
    assert found is None or isinstance(found, Record)


def test_a_key_whose_hash_takes_for_ever_is_dropped():
    doubled = b"".join(b"2\x86" for _ in range(200))  # a pair of twice what is there: 2^200 elements
    assert unpickle(io.BytesIO(b"\x80\x02}K\x01\x85" + doubled + b"K\x01s.")) == {}
    assert unpickle(io.BytesIO(b"\x80\x04\x8f(K\x01\x85" + doubled + b"\x90.")) == set()


def test_lists_in_lists_a_hundred_thousand_deep_are_read():
    depth = 100_000
    found = unpickle(io.BytesIO(b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b"."))
    levels = 1
    while found:
        (found,), levels = found, levels + 1
    assert levels == depth


def test_a_place_far_out_in_the_memo_takes_no_memory():
    assert unpickle(io.BytesIO(b"\x80\x02K\x05r\xff\xff\xff\x7f0j\xff\xff\xff\x7f.")) == 5


@pytest.mark.parametrize(
    "program",
    [b"", b".", b"a.", b"h\x00.", b"K", b"\x80\x02]", b"(.", b"t.", b"K\x01K\x02s.", b"\x80\x02K\x01K\x02a.",
     b"\x82\x01.", b"\x80\x05\x97.", b"cnothing\n.", b"\x80\x02]R.", b"\x80\x02K\x01N\x81.", b"Q.",
     b"\x80\x04K\x01K\x02\x93.", b"\x80\x02K\x01\x87."],
)  # fmt: skip
def test_damaged_pickles_are_errors_that_the_reader_of_files_words(program, tmp_path):
    with pytest.raises((ValueError, LookupError, TypeError, AttributeError)):
        unpickle(io.BytesIO(program))
    (tmp_path / "bad.pth").write_bytes(b"\x80\x02" + program)
    with pytest.raises(InputError, match=r"bad\.pth (is not a sound PyTorch file|calls )") as error:
        read(tmp_path / "bad.pth")
    assert "\n" not in str(error.value)
