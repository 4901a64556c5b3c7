"""`jaxcnn bench see`: what is asked of all, its goals, its table."""

import numpy as np
import pytest

from jaxcnn.bench import measure_see, peers, seeing
from jaxcnn.bench.agreement import Disagreement
from jaxcnn.bench.measure import QUICK, Timing
from jaxcnn.host.errors import InputError

LIBRARIES = {"occlusion": "captum", "Grad-CAM": "grad-cam", "PGD of 64 images": "foolbox"}


def test_results_of_many_steps_must_be_alike_but_for_some_pixels_and_others_everywhere():
    one = np.random.default_rng(0).random((4, 5, 5, 3))
    moved = one.copy()
    moved.ravel()[:2] += 0.01  # of 300
    measure_see.check_alike("a peer", "PGD of 64 images", [moved], [one])
    with pytest.raises(Disagreement, match=r"a peer disagrees with jaxcnn: result 0 is off by 0\.01"):
        measure_see.check_alike("a peer", "occlusion", [moved], [one])
    moved.ravel()[:4] += 0.01
    with pytest.raises(Disagreement, match=r"only 98\.7% of the pixels are the same"):
        measure_see.check_alike("a peer", "PGD of 64 images", [moved], [one])


def test_a_row_is_wanted_in_half_of_the_time_of_the_best_peer_and_all_classes_stand_beside_one():
    def measured(row: str, **seconds: float) -> measure_see.Measured:
        timings = {name.replace("_", "-"): Timing((each,) * 3) for name, each in seconds.items()}
        return measure_see.Measured(row, timings, 10**9)

    results = [
        measured("occlusion", jaxcnn=0.1, captum=0.3),
        measured("occlusion of all classes", jaxcnn=0.11, captum=0.15),
        measured("Grad-CAM", jaxcnn=0.1, captum=0.5, grad_cam=0.25),
    ]
    text = measure_see.report(results, 2e10, 64)
    assert "| captum    |        0.33 | ≤ 0.5 of the best peer: met (0.33)" in text
    assert "≤ 0.5 of the best peer: **MISSED** (0.73)" in text and "| grad-cam  |        0.40 |" in text
    assert "|      10 |     50% |" in text  # 1 GFLOP in 0.1 s, of 20
    assert "Occlusion of all 10 classes takes 1.10 of that of one." in text


@pytest.mark.slow
@pytest.mark.parametrize("row", LIBRARIES)
def test_every_library_that_is_installed_gives_the_same_numbers_and_is_timed(row):
    chosen = [peer for peer in peers.EXPLAINERS if peer.name in ("jaxcnn", LIBRARIES[row])]
    if not peers.installed(chosen[1].package):
        pytest.skip(f"{chosen[1].package} is not installed")
    notes: list[str] = []
    (result,) = measure_see.measure([row], chosen, 0, QUICK, lambda line: None, notes)
    assert list(result.timings) == ["jaxcnn", LIBRARIES[row]] and "as it is fastest here" in notes[0]


@pytest.mark.slow
def test_every_row_is_done_and_gives_what_it_says():
    given = seeing.problem()
    shapes = {
        "occlusion": [(1, 32, 32)], "occlusion of all classes": [(10, 32, 32)],
        "Grad-CAM": [(1, 32, 32), (1, 16, 16), (1, 8, 8)],
        "Grad-CAM of 64 images": [(64, 32, 32), (64, 16, 16), (64, 8, 8)],
        "integrated gradients": [(1, 32, 32, 3)], "64 filters maximized": [(64, 32, 32, 3)],
        "PGD of 64 images": [(64, 32, 32, 3)],
    }  # fmt: skip
    assert list(shapes) == measure_see.names()
    for row, expected in shapes.items():
        found = seeing.by_jaxcnn(row, given, fewer=True)()
        assert [each.shape for each in found] == expected and all(np.isfinite(each).all() for each in found), row
    one, every = (seeing.by_jaxcnn(row, given)()[0] for row in list(shapes)[:2])
    assert np.abs(one[0] - every[seeing.CLASS]).max() < 1e-5  # of logits around 1, in float32


def test_peers_have_their_names():
    with pytest.raises(InputError, match="there is no peer 'lucent'; there are: jaxcnn, captum, grad-cam, foolbox"):
        peers.choose(["lucent"], "cpu", peers.EXPLAINERS)
