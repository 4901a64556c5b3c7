"""The run that a command line names."""

from __future__ import annotations

import difflib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from jaxcnn.commands.flags import Flag
from jaxcnn.commands.named import search_working_folder
from jaxcnn.host.errors import InputError

if TYPE_CHECKING:
    from jaxcnn.data.augment.views import Views
    from jaxcnn.training.trained import Trained

Run = Annotated[Positional[Path], arg(metavar="RUN")]
RESULTS = Path("results")
MOST = 20  # runs that are named where there is not the one that was asked for


@dataclass(frozen=True, kw_only=True)
class ViewOptions:
    """How each image is looked at, by commands that classify."""

    flip: Flag = False
    """Average the probabilities of each image and of its mirror image."""
    shift: Annotated[int, arg(metavar="PIXELS")] = 0
    """Average them over each image and over it shifted by so many pixels towards each corner."""

    def views(self) -> Views:
        """What the options say."""
        from jaxcnn.data.augment.views import Views

        return Views(self.flip, self.shift)


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options of a run that a command line names."""

    checkpoint: Annotated[
        Literal["last", "best"] | None, arg(help_behavior_hint="(default: best, if the run had validation images)")
    ] = None
    """Which of the run's checkpoints: its newest state, or the one that did best on the validation images."""
    network: Annotated[str | None, arg(metavar="NET", help_behavior_hint="(default: the run's, if it is jaxcnn's)")] = (
        None
    )
    """Of a run whose network is module:function, that name: it says that you want the module to be run."""

    def restored(self, folder: Path) -> Trained:
        """A run's config, facts, network, parameters and statistics.

        Raises InputError where there is no such run, and where it would run a Python file that nobody has named.
        """
        from jaxcnn.training.trained import trained

        folder = found(folder)
        self.agreed(folder)
        return trained(folder, self.checkpoint, trust=True)  # as the person has agreed

    def agreed(self, folder: Path) -> None:
        """Raise InputError where a run's network is a Python file that nobody has named."""
        from jaxcnn.training.run_folder import read_run

        config, _ = read_run(folder)
        self._check_network(folder, config.network)
        search_working_folder(config.network)

    def _check_network(self, run: Path, network: str) -> None:
        if ":" not in network:
            if self.network is not None:
                raise InputError(f"{run} is a run, which knows its network: leave out --network")
        elif self.network not in (network, None):
            raise InputError(f"the network of {run} is {network}, not {self.network}")
        elif self.network is None and not _agreed(run, network):
            raise InputError(
                f"the network of {run} is {network}, so that using it runs the Python module {network.split(':')[0]}; "
                f"if you trust it, say --network {network}"
            )


def _agreed(run: Path, network: str) -> bool:
    """Ask, on a terminal, whether a run's own module may be imported."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    from rich.console import Console
    from rich.prompt import Confirm

    question = f"The network of {run} is {network}. Run the Python module {network.split(':')[0]}?"
    console = Console(stderr=True, markup=False, highlight=False)
    try:
        return Confirm.ask(question, console=console, default=False)
    except EOFError:
        return False


def run_folder(name: Path) -> Path | None:
    """The folder of a run, which may be named without the results/ before it; None where there is no such folder."""
    places = (name,) if name.is_absolute() else (name, RESULTS / name)
    return next((place for place in places if place.is_dir()), None)


def found(name: Path) -> Path:
    """The folder of a run that must be there. Raises InputError where it is not, with those that are."""
    from jaxcnn import zoo

    if (folder := run_folder(name)) is not None:
        return folder
    if str(name) in zoo.NETWORKS:
        raise InputError(f"{name} is a network, not a run: give its --weights, imagenet or a file")
    others = sorted({str(run.parent) for place in (name.parent, RESULTS) for run in place.glob("*/config.json")})
    close = difflib.get_close_matches(str(name), others, n=1) or difflib.get_close_matches(
        str(RESULTS / name), others, n=1
    )
    more = f" and {len(others) - MOST} more" if len(others) > MOST else ""
    hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(others[:MOST]) or 'none'}{more}"
    raise InputError(f"there is no run {name}; {hint}")
