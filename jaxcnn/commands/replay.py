"""`jaxcnn replay`: see a run diverge once more."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from jaxcnn.commands.command import FAILED, Command
from jaxcnn.commands.flags import Flag
from jaxcnn.commands.named import search_working_folder
from jaxcnn.commands.restored import found


@dataclass(frozen=True, kw_only=True)
class Replay(Command):
    """Train again up to the step whose numbers were not finite, and say where they cease to be.

    It begins at the last checkpoint before that step, and changes nothing on the disk. The exit status is 1 where all
    numbers are finite this time.
    """

    computes = True

    folder: Annotated[Positional[Path], arg(metavar="RUN")]
    """The folder of a run that has diverged, its name, or the file diverged.json in it."""
    json: Flag = False
    """Print JSON."""

    def run(self) -> int:
        """Train, and print what happened. Raises InputError where there is nothing to replay."""
        from jaxcnn.training.replay import replay
        from jaxcnn.training.run_folder import read_record

        file = self.folder if self.folder.is_file() else found(self.folder)
        search_working_folder(read_record(file.parent if file.is_file() else file).config.network)
        again = replay(file)
        if self.json:
            print(json.dumps(again._asdict()))
            return 0 if again.where else FAILED
        steps = f"step {again.step}, trained again from step {again.from_step}"
        if not again.where:
            print(f"{steps}: all numbers are finite, where the first that was not had been in {again.before}")
            return FAILED
        same = "as it was" if again.where == again.before else f"which had been in {again.before}"
        print(f"{steps}: the first number that is not finite is in {again.where}, {same}")
        return 0
