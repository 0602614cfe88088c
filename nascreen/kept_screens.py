"""The screens of a service: a space is scored once by the models that answer, kept on disk, and opened many times.

Scoring is done by a process of its own: its memory goes back to the machine, and no prediction waits for it. Screens
made here are named after what they are of, ``auto-SPACE-N-SEED-MODELS``, and the oldest of them make room for new ones.
Others are made by ``nascreen screen --out`` into the same folder, are asked by their name, and stay.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import cast
from weakref import WeakValueDictionary

from nascreen import __version__
from nascreen.errors import InputError, StoreError, UnknownNameError, shown
from nascreen.lattices import Sampling
from nascreen.listed import default_request, space_names
from nascreen.models import models_in, use_models
from nascreen.queries import Screened
from nascreen.spaces import SPACES, count
from nascreen.stream import RECORD, screen

USUAL_N = 5000
"""Candidates scored of a space that is too large to score whole, where nothing else is said."""
MOST_N = 20_000
MOST_KEPT = 32
MOST_OPEN = 4
MOST_SECONDS = 900.0
STALE_SECONDS = 3600.0
"""After this long a screen that is not finished was left by a process that ended."""
AUTO = "auto-"
_PART = ".part-"

log = logging.getLogger("nascreen.service")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


class KeptScreens:
    """The screens in one folder; several threads may ask at once."""

    def __init__(self, folder: Path, models: Path) -> None:
        """Keep screens in a folder, which need not exist, scored by the models of another."""
        self.folder, self.models = folder, models
        self._lock, self._scoring = Lock(), Lock()
        self._recent: OrderedDict[str, Screened] = OrderedDict()
        self._alive: WeakValueDictionary[str, Screened] = WeakValueDictionary()

    def names(self) -> list[str]:
        """Return the names of the screens that people made."""
        found = (path.parent.name for path in self.folder.glob(f"*/{RECORD}"))
        return sorted(name for name in found if _NAME.fullmatch(name) and not name.startswith(AUTO))

    def named(self, name: str) -> Screened:
        """Open a screen that a person made.

        Raises:
            UnknownNameError: If there is none of this name.
        """
        if name not in self.names():
            known = ", ".join(self.names()) or "none yet"
            raise UnknownNameError(f"There is no screen {shown(name)}; there are: {known}. nascreen screen --out makes "
                                   "one in the folder of screens of the service.")  # fmt: skip
        return self._opened(name)

    def scored(self, space: str, n: int | None, seed: int, models: Mapping[str, str]) -> Screened:
        """Open a space scored by the models that answer; score it first if need be.

        Args:
            space: Name of a space.
            n: How many candidates; None for all of a space written in code, and `USUAL_N` of another.
            seed: Seed of the draw.
            models: Hash of the card of each model that answers.

        Raises:
            UnknownNameError: If there is no such space.
            InputError: If the number of candidates cannot be drawn.
            StoreError: If the screen cannot be made or kept.
        """
        size, sampling = _request(space, n)
        name = _name(space, size, seed, models)
        if not (self.folder / name / RECORD).is_file():
            with self._scoring:
                if not (self.folder / name / RECORD).is_file():
                    self._score(name, [space, str(size), sampling, str(seed)], models)
        return self._opened(name)

    def _score(self, name: str, request: Sequence[str], models: Mapping[str, str]) -> None:
        """Score a space into a folder that appears whole."""
        part = self.folder / f"{_PART}{secrets.token_hex(8)}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._make_room()
            _run([*request, str(part), str(self.models)])
            if json.loads((part / RECORD).read_text(encoding="utf-8"))["models"] != models:
                raise StoreError(f"The models in {shown(self.models.name)} are not those that answer now, so that "
                                 "nothing is scored by them; ask again, or see /v1/health.")  # fmt: skip
            part.rename(self.folder / name)
        except OSError as error:
            # Another process of the service may have kept the same meanwhile.
            if not (self.folder / name / RECORD).is_file():
                raise StoreError(f"The screen {name} cannot be kept in {shown(str(self.folder))} ({error.strerror}); "
                                 "make room there.") from error  # fmt: skip
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def _make_room(self) -> None:
        made = [path.parent for path in self.folder.glob(f"{AUTO}*/{RECORD}")]
        oldest_first = sorted(made, key=lambda folder: (folder / RECORD).stat().st_mtime)
        for part in self.folder.glob(f"{_PART}*"):
            if time.time() - part.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(part, ignore_errors=True)
        for folder in oldest_first[: max(0, len(made) - MOST_KEPT + 1)]:
            with self._lock:
                self._recent.pop(folder.name, None)
                if folder.name not in self._alive:
                    shutil.rmtree(folder, ignore_errors=True)

    def _opened(self, name: str) -> Screened:
        with self._lock:
            screened = self._alive.get(name)
            if screened is None or not (self.folder / name / RECORD).is_file():
                screened = self._alive[name] = Screened(self.folder / name)
            if name.startswith(AUTO):
                (self.folder / name / RECORD).touch()
            self._recent[name] = screened
            self._recent.move_to_end(name)
            while len(self._recent) > MOST_OPEN:
                self._recent.popitem(last=False)
            return screened


def _request(space: str, n: int | None) -> tuple[int, Sampling]:
    if space not in space_names():
        # Nothing but a name: a path from the network must never be opened.
        raise UnknownNameError(f"There is no space {shown(space)}; allowed are {', '.join(space_names())}.")
    size, sampling = default_request(space, n, USUAL_N)
    most = count(space) if space in SPACES else MOST_N
    if not 1 <= size <= most:
        raise InputError(
            f"The number of candidates of the space {space} is {size}; allowed is 1 to {most:,}, or nothing for "
            f"{'all' if space in SPACES else f'{USUAL_N:,}'} of them."
        )
    return size, sampling


def _name(space: str, size: int, seed: int, models: Mapping[str, str]) -> str:
    text = "".join(f"{name}:{value}\n" for name, value in sorted({**models, "nascreen": __version__}.items()))
    return f"{AUTO}{space}-{size}-{seed}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


# ---------------------------------------------------------------- the process that scores


def _run(arguments: Sequence[str]) -> None:
    """Score in a process of its own.

    Raises:
        StoreError: If it fails.
    """
    command = [sys.executable, "-P", "-m", "nascreen.kept_screens", *arguments]
    # Blocks are shared out among threads, so that no product of matrices needs threads of its own.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    try:
        done = subprocess.run(  # noqa: S603 - names and numbers that were checked
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=MOST_SECONDS, check=False,
            env=environment,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise StoreError(f"The space {arguments[0]} was not scored in {MOST_SECONDS:g} s; ask for fewer.") from error
    if done.returncode:
        log.error("scoring failed", extra={"space": arguments[0], "said": done.stderr[-2000:]})
        raise StoreError(f"The space {arguments[0]} cannot be scored now; the log of the service says why.")


def main(arguments: Sequence[str]) -> None:
    """Score a space, as `KeptScreens` asks for it: space, how many, sampling, seed, folder, folder of the models."""
    space, size, sampling, seed, out, models = arguments
    # What people ask for one sample goes before.
    os.nice(5)
    use_models(models_in(Path(models)))
    screen(space, int(size), Path(out), cast("Sampling", sampling), int(seed))


if __name__ == "__main__":
    main(sys.argv[1:])
