"""Work in other processes or on other machines: an ordered map over any executor.

What all jobs need is sent once: written to a file for processes of this machine, a task's result in
Dask, put into Ray's object store. Each process unpickles it once.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import pickle
import tempfile
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from seedbed.arrays import one_line
from seedbed.engines.base import cores
from seedbed.errors import SeedbedWarning, SettingError

LANES = 8
"""The least members of a block: the compiled engine trains these in about the time of one."""

Job = TypeVar("Job")
Result = TypeVar("Result")

_loaded: dict[str, Callable[[Any], Any]] = {}
"""What this process unpickled, by its hash; at most ``MAX_LOADED``."""
MAX_LOADED = 4


class Payload(NamedTuple):
    """What all jobs need, pickled: in a file, or here."""

    digest: str
    path: str | None
    content: bytes | None


class _Absent(NamedTuple):
    """A worker's answer where the payload's file is not on its machine."""


class _Raised(NamedTuple):
    """A worker's answer where the work raised: other errors are the executor's own."""

    error: Exception


class Remote:
    """An ordered map over an executor.

    executor  anything with an ordered map, or a ``joblib.Parallel``; None maps here

    Raises: SettingError for anything else.
    """

    def __init__(self, executor: Any) -> None:
        maps = _is_parallel(executor) or hasattr(executor, "map")
        kind = f"{type(executor).__module__}.{type(executor).__name__}"
        if kind == "multiprocessing.pool.Pool":
            raise SettingError(
                "a multiprocessing.Pool waits forever for a process that died: give a "
                "concurrent.futures.ProcessPoolExecutor"
            )
        if executor is not None and (isinstance(executor, type) or not maps):
            raise SettingError(
                "executor must have an ordered map, as concurrent.futures.ProcessPoolExecutor(), "
                "joblib.Parallel(2), dask.distributed.Client() and ray.util.multiprocessing.Pool() "
                f"do, not {one_line(executor)}"
            )
        self.executor = executor

    def map(self, work: Callable[[Job], Result], jobs: Sequence[Job]) -> Iterator[Result]:
        """Yield work(job) for each job in order.

        work  a picklable function or object, with the data that it needs

        Where the executor fails, as after the death of a process, a warning says so, and the
        remaining jobs and all later ones are done here.

        Raises: what ``work`` raises; SettingError if it cannot be pickled.
        """
        if self.executor is None:
            yield from map(work, jobs)
            return
        content, done = _pickled(self.executor, work), 0
        digest = hashlib.sha256(content).hexdigest()
        try:
            with contextlib.closing(_answers(self.executor, digest, content, jobs)) as answers:
                for answer in answers:
                    if isinstance(answer, _Raised):
                        break
                    yield answer
                    done += 1
                else:
                    if done == len(jobs):
                        return
                    raise RuntimeError(f"it gave {done} of {len(jobs)} answers")
            error: Exception = answer.error
        except Exception as failure:
            warnings.warn(
                f"the executor failed ({type(failure).__name__}: {one_line(str(failure), 120)}): "
                f"the remaining {len(jobs) - done} of {len(jobs)} blocks, and all later ones, are "
                "run in this process",
                SeedbedWarning,
                stacklevel=2,
            )
            self.executor = None
        else:
            raise error
        yield from map(work, jobs[done:])


def _answers(
    executor: Any, digest: str, content: bytes, jobs: Sequence[Any]
) -> Generator[Any, None, None]:
    """Yield the workers' answers in order."""
    package = _package(executor)
    if package == "distributed":
        # a task can be repeated where a worker is lost, scattered data cannot
        sent = executor.submit(bytes, content, key=f"seedbed-{digest}")
        call = partial(_call_sent, digest)
        futures = executor.map(call, jobs, content=sent, pure=False)
        try:
            for future in futures:
                yield future.result()
        finally:
            executor.cancel(futures)
        return
    if package == "ray":
        reference = importlib.import_module("ray").put(content)
        for answer in executor.imap(partial(_call_from_ray, digest, reference), jobs):
            if isinstance(answer, Exception):  # Ray returns it
                raise getattr(answer, "underlying", answer)
            yield answer
        return
    with tempfile.TemporaryDirectory(prefix="seedbed-") as folder:
        path = Path(folder) / "work"
        path.write_bytes(content)
        answers = _mapped(executor, partial(_call, Payload(digest, str(path), None)), jobs)
        for number, answer in enumerate(answers):
            if isinstance(answer, _Absent):  # on another machine
                rest = partial(_call, Payload(digest, None, content))
                yield from _mapped(executor, rest, jobs[number:])
                return
            yield answer


def _mapped(executor: Any, call: Callable[[Any], Any], jobs: Sequence[Any]) -> Iterable[Any]:
    if _is_parallel(executor):
        return _in_parts(executor, call, jobs)
    return iter((executor.imap if hasattr(executor, "imap") else executor.map)(call, jobs))


def _in_parts(
    executor: Any, call: Callable[[Any], Any], jobs: Sequence[Any]
) -> Generator[Any, None, None]:
    """Yield the answers of a ``joblib.Parallel`` some at a time: it returns them as a list."""
    workers = getattr(executor, "n_jobs", 1)
    step = 2 * (workers if isinstance(workers, int) and workers > 0 else cores())
    for start in range(0, len(jobs), step):
        yield from executor((call, (job,), {}) for job in jobs[start : start + step])


def _is_parallel(executor: Any) -> bool:
    """Return whether this is a ``joblib.Parallel``, which is called."""
    return callable(executor) and hasattr(executor, "n_jobs")


_PICKLERS = {"distributed": "cloudpickle", "ray": "ray.cloudpickle", "joblib": "cloudpickle"}
"""The modules with which executors pickle functions of the main module, and lambdas."""


def _pickled(executor: Any, work: Any) -> bytes:
    """Return the work pickled, as the executor pickles.

    Raises: SettingError if it cannot be pickled.
    """
    try:
        pickler: Any = importlib.import_module(_PICKLERS.get(_package(executor), "pickle"))
    except ModuleNotFoundError:  # older versions of joblib have a copy of their own
        pickler = pickle
    try:
        return bytes(pickler.dumps(work))
    except Exception as error:  # pickling runs methods of what is pickled
        raise SettingError(
            f"an executor needs methods that can be pickled ({one_line(str(error), 100)}): define "
            "functions at the top level of a module"
        ) from None


def _package(executor: Any) -> str:
    return type(executor).__module__.partition(".")[0]


# ---------------------------------------------------------------- in the workers


def _call(payload: Payload, job: Any) -> Any:
    if payload.content is None and payload.digest not in _loaded:
        assert payload.path is not None
        try:
            content = Path(payload.path).read_bytes()
        except OSError:
            return _Absent()
        return _done(payload.digest, content, job)
    return _done(payload.digest, payload.content or b"", job)


def _call_sent(digest: str, job: Any, content: bytes) -> Any:
    return _done(digest, content, job)


def _call_from_ray(digest: str, reference: Any, job: Any) -> Any:
    content = b""
    if digest not in _loaded:
        content = importlib.import_module("ray").get(reference)
    return _done(digest, content, job)


def _done(digest: str, content: bytes, job: Any) -> Any:
    work = _loaded.get(digest)
    if work is None:
        work = pickle.loads(content)
        if len(_loaded) > MAX_LOADED:
            _loaded.clear()
        _loaded[digest] = work
    try:
        return work(job)
    except Exception as error:
        return _Raised(error)
