"""Finding a learning rate."""

from dataclasses import replace

import numpy as np
import pytest

from jaxcnn.commands.main import main
from jaxcnn.config import SGD, DataConfig, OptimizerConfig, TrainConfig
from jaxcnn.host.errors import InputError
from jaxcnn.training.find_rate import find_rate

SMALL = TrainConfig(
    network="mlp",
    network_options={"width": 16},
    data=DataConfig("digits"),
    optimizer=OptimizerConfig(SGD(momentum=0.0)),
    batch_size=256,
)


def test_the_rate_grows_by_the_same_factor_and_the_loss_falls_and_rises():
    found = find_rate(SMALL, steps=60, low=1e-4, high=1e4)
    ratios = np.diff(np.log(found.rates))
    np.testing.assert_allclose(ratios, np.log(1e8) / 59, rtol=1e-6)
    assert found.rates[0] == 1e-4 and len(found.rates) < 60  # the loss was too large in the end
    assert found.losses[0] > min(found.losses) < found.losses[-1]
    assert 1e-2 < found.best < 1e2 and found.smoothed[0] == pytest.approx(found.losses[0])


def test_losses_are_those_of_steps_with_these_rates():
    """With rates that all but stay the same it is ordinary training."""
    import jax

    from jaxcnn.config import Constant
    from jaxcnn.data.batches import epoch_key
    from jaxcnn.training.plan import prepare
    from jaxcnn.training.run import Run

    found = find_rate(SMALL, steps=10, low=0.1, high=0.1 + 1e-9)
    config = replace(SMALL, optimizer=replace(SMALL.optimizer, lr=0.1, schedule=Constant()))
    run = Run(prepare(config), None)
    losses, before = [], 0.0
    for epoch in 0, 1:
        for batch in run.batches(epoch, 0):
            run.state, run.sums = run.steps.train(run.state, run.sums, batch, epoch_key(0, epoch))
            total = float(jax.device_get(run.sums.sums["loss"]))
            losses.append((total - before) / float(batch.mask.sum()))
            before = total
    np.testing.assert_allclose(found.losses, losses[:10], rtol=1e-5)  # float32 sums


def test_the_command_tells_and_draws(tmp_path, capsys):
    picture = tmp_path / "lr.png"
    words = "lr --network mlp --data.size 8 8 --steps 30 --high 100 --picture"
    assert main([*words.split(), str(picture)]) == 0
    assert "a good rate: --optimizer.lr" in capsys.readouterr().out
    assert picture.read_bytes().startswith(b"\x89PNG") and len(list(tmp_path.iterdir())) == 1


def test_rates_that_do_not_grow_are_refused():
    with pytest.raises(InputError, match="the rates must grow"):
        find_rate(SMALL, low=1.0, high=0.1)
    with pytest.raises(InputError, match="steps must be at least 10"):
        find_rate(SMALL, steps=3)
