"""The models behind the service: loaded by hash, replaced only by good ones, asked in small batches."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from nascreen.datasets import model_folder
from nascreen.errors import BusyError, InputError, IntegrityError, NascreenError
from nascreen.models import Models, Prediction, card_hash, models_in, require_usable, use_models
from nascreen.records import Sample

T = TypeVar("T")

GOLDEN = (
    Sample(formula="Na3Zr2Si2PO12", phase="crystalline", sinter_temp_c=1200.0),
    Sample(formula="Na3BS3", phase="glass"),
)
"""Samples that new models must be able to predict before they are used."""

MOST_WAITING = 1000
MOST_AT_ONCE = 32
log = logging.getLogger("nascreen.service")


class ModelHolder:
    """The models that answer now.

    A change in the folder is seen by `refresh`. New models are used when every file is the one that its card promises
    and they predict known samples; otherwise the former ones go on, and `refused` says why.

    Attributes:
        models: The models.
        hashes: The hash of the card of each, by name.
        refused: Why newer files are not used; empty where there are none.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Load the models of a folder; by default the promoted ones.

        Raises:
            IntegrityError: If they cannot be used; a service does not start without models.
        """
        self.folder = folder or model_folder()
        self.refused = ""
        self._signature = self._files()
        self._use(_tried(self.folder))

    def _use(self, models: Models) -> None:
        self.models = models
        self.hashes = {name: card_hash(getattr(models, name).card) for name in ("conductivity", "strength")}
        use_models(models)

    def refresh(self) -> bool:
        """Look at the folder, and use what is new there if it is good; return whether other models answer now."""
        signature = self._files()
        if signature == self._signature:
            return False
        self._signature = signature
        try:
            fresh = _tried(self.folder)
        except (NascreenError, OSError, ValueError) as error:
            self.refused = str(error)
            log.warning("models refused", extra={"reason": str(error)})
            return False
        self.refused = ""
        self._use(fresh)
        log.info("models replaced", extra={"models": self.hashes})
        return True

    def _files(self) -> tuple[tuple[str, int, int, int], ...]:
        found = []
        for path in sorted(self.folder.glob("*/*")):
            try:
                status = path.stat()
            except OSError:
                continue
            found.append((str(path), status.st_mtime_ns, status.st_size, status.st_ino))
        return tuple(found)


def _tried(folder: Path) -> Models:
    """Load models and let them predict known samples.

    Raises:
        IntegrityError: If a file is not the promised one, or a prediction is no number.
    """
    models = models_in(folder)
    for p in models.predict(GOLDEN):
        numbers = (p.conductivity_lo, p.conductivity_hi, p.ea_lo, p.ea_hi, p.strength_lo, p.strength_hi)
        if not all(map(math.isfinite, numbers)):
            raise IntegrityError(f"The models in {folder.name} predict no number for {p.sample.formula}; train again.")
    return models


class Batcher:
    """Predicts what arrived in one turn of the loop as one batch, in the order of arrival.

    The work is done on the loop itself: a batch takes some tens of milliseconds at most, and handing it to a thread
    costs a single request more than its prediction. Nobody waits for more than those who came before.
    """

    def __init__(self, holder: ModelHolder) -> None:
        """Serve the models of a holder."""
        self._holder = holder
        self._waiting: list[tuple[Sample, asyncio.Future[Prediction]]] = []
        self._is_called = False

    async def predict(self, sample: Sample) -> Prediction:
        """Return the prediction of a sample.

        Raises:
            InputError: If the sample cannot be used.
            BusyError: If too many wait.
        """
        if len(self._waiting) >= MOST_WAITING:
            raise BusyError(f"{MOST_WAITING} predictions are waiting; ask again in a moment.")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Prediction] = loop.create_future()
        self._waiting.append((sample, future))
        if not self._is_called:
            self._is_called = True
            loop.call_soon(self._work)
        return await future

    def _work(self) -> None:
        batch, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
        self._is_called = bool(self._waiting)
        if self._is_called:
            asyncio.get_running_loop().call_soon(self._work)
        outcomes = predicted_or_error(self._holder.models, [sample for sample, _ in batch])
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            if future.done():
                continue
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)


def predicted_or_error(models: Models, samples: Sequence[Sample]) -> list[Prediction | Exception]:
    """Predict samples together; one that cannot be used does not spoil the others.

    Args:
        models: The models.
        samples: Samples as they were asked.

    Returns:
        A prediction or an exception for each.
    """
    out: list[Prediction | Exception] = []
    usable: list[int] = []
    for i, sample in enumerate(samples):
        try:
            require_usable(sample)
        except InputError as error:
            out.append(error)
        else:
            usable.append(i)
            out.append(BusyError("not yet worked on"))
    try:
        found: Sequence[Prediction | Exception] = models.predict([samples[i] for i in usable])
    except Exception as error:  # noqa: BLE001 - whatever it is, each who waits must hear of it
        found = [error] * len(usable)
    for i, one in zip(usable, found, strict=True):
        out[i] = one
    return out


class Workers:
    """Threads for work that takes longer than a moment, with a limit on what may wait."""

    def __init__(self, n_threads: int, most_waiting: int) -> None:
        """Start with some threads, and so many jobs that may run or wait."""
        self._threads = ThreadPoolExecutor(n_threads, "work")
        self._limit = n_threads + most_waiting
        self._n_running = 0

    async def run(self, work: Callable[[], T]) -> T:
        """Do some work in a thread.

        Raises:
            BusyError: If too much is waiting.
        """
        if self._n_running >= self._limit:
            raise BusyError(f"{self._limit} longer jobs are running or waiting; ask again in a moment.")
        self._n_running += 1
        future = asyncio.get_running_loop().run_in_executor(self._threads, work)
        # Counted until the thread is really free, though nobody may be waiting for the answer any more.
        future.add_done_callback(self._ended)
        return await asyncio.shield(future)

    def _ended(self, future: asyncio.Future[T]) -> None:
        self._n_running -= 1
        # An error that nobody waits for any more, as the time for the answer was over, is no news.
        if not future.cancelled():
            future.exception()

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
