"""Training rows on disk, in shards that each fit into memory."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seedbed import memory, streams
from seedbed.arrays import Array, Indices
from seedbed.engines.batches import Data
from seedbed.errors import FileError, SettingError, reason

SHARD_BYTES, MIN_SHARD_ROWS = 2**25, 1024
"""About the size of a shard, and the fewest rows that one has, if the table has as many."""


def shard_count(rows: int, row_bytes: int) -> int:
    """Return the number of shards for a number of rows."""
    most = max(1, rows // MIN_SHARD_ROWS)
    return min(most, -(-rows * row_bytes // SHARD_BYTES))


class Shards:
    """The rows of a training in a temporary file, dealt to shards of equally many rows.

    Rows are shuffled before they are dealt, so that each shard has rows from all over the table. An
    epoch takes the shards in a random order, the same for all members, and each member takes the
    rows of a shard in its own order.

    Each member may hold out some of the first ``candidates`` rows of every shard, others than its
    neighbour: ``held`` of each.

    count   W, the number of shards
    data    (n, I), (n, O), (n,): the rows of the shard that was loaded last, always in the same
            arrays
    seed    what the shuffling depends on

    Raises: SettingError if the rows do not fit on the disk.
    """

    def __init__(
        self, rows: int, inputs: int, outputs: int, dtype: npt.DTypeLike, *, count: int,
        weighed: bool, seed: int, candidates: int = 0, held: int = 0,
    ) -> None:  # fmt: skip
        if rows % count:
            raise ValueError(f"{rows} rows cannot be dealt equally to {count} shards")
        self.count, self.seed, self.n = count, seed, rows // count
        self.candidates, self.held = candidates, held
        self.data = Data(
            x=np.zeros((self.n, inputs), dtype),
            t=np.zeros((self.n, outputs), dtype),
            w=np.zeros(self.n, dtype) if weighed else None,
        )
        self._arrays = [self.data.x, self.data.t, *([] if self.data.w is None else [self.data.w])]
        self._bytes = sum(array.nbytes for array in self._arrays)
        self._dealt, self._parts = 0, 0
        self._file = _temporary_file(count * self._bytes, rows)

    def write(self, x: Array, t: Array, w: Array | None = None) -> None:
        """Deal more rows: x (m, I), t (m, O), w (m,).

        Raises: FileError if the disk is full.
        """
        if len(x) > self.room:
            raise ValueError(f"{len(x)} rows are given, and {self.room} are left")
        key = streams.keys(np.array([self.seed]), "shards", 1, self._parts)
        shuffled = streams.order(key, len(x))[0]
        parts = [x[shuffled], t[shuffled], *([] if w is None else [w[shuffled]])]
        for start in range(min(self.count, len(x))):
            shard, place = (self._dealt + start) % self.count, (self._dealt + start) // self.count
            offset = shard * self._bytes
            for array, part in zip(self._arrays, parts, strict=True):
                own = np.ascontiguousarray(part[start :: self.count], array.dtype)
                self._write(own, offset + place * array.strides[0])
                offset += array.nbytes
        self._dealt += len(x)
        self._parts += 1

    def _write(self, array: Array, offset: int) -> None:
        try:
            self._file.seek(offset)
            view = array.data.cast("B")
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise FileError(
                f"cannot write the encoded rows to {folder()}: {reason(error)}: set TMPDIR to a "
                "folder with more space"
            ) from None

    @property
    def room(self) -> int:
        """The number of rows that are still to be written."""
        return self.n * self.count - self._dealt

    def order(self, epoch: int) -> Indices:
        """Return the shards' numbers (W,) in an epoch's order."""
        return streams.order(streams.keys(np.array([self.seed]), "shards", 2, epoch), self.count)[0]

    def load(self, number: int) -> None:
        """Read a shard into ``data``.

        Raises: FileError.
        """
        try:
            self._file.seek(number * self._bytes)
            for array in self._arrays:
                view = array.data.cast("B")
                while view:
                    read = self._file.readinto(view)
                    if not read:
                        raise OSError("the file ends early")
                    view = view[read:]
        except OSError as error:
            raise FileError(f"cannot read the encoded rows back: {reason(error)}") from None

    def load_pass(self, number: int) -> None:
        """Load the shard of a pass: epoch after epoch takes all shards in its order."""
        epoch, place = divmod(number, self.count)
        order = self.order(epoch)
        self.load(order[place])
        if hasattr(os, "posix_fadvise") and place + 1 < self.count:  # read on while this one trains
            os.posix_fadvise(
                self._file.fileno(), order[place + 1] * self._bytes, self._bytes,
                os.POSIX_FADV_WILLNEED,
            )  # fmt: skip

    def held_out(self, members: int) -> Data:
        """Return the rows that members may hold out, and each one's own.

        Raises: FileError.
        """
        parts = []
        for number in range(self.count):
            self.load(number)
            parts.append([array[: self.candidates].copy() for array in self._arrays])
        x, t, *w = (np.concatenate(each) for each in zip(*parts, strict=True))
        return Data(x, t, w[0] if w else None, HeldRows(self, members))

    def close(self) -> None:
        """Remove the file; ``data`` stays."""
        self._file.close()

    def digest(self) -> str:
        """Return a hash of all rows and of the seed."""
        sha = hashlib.sha256(f"{self.count} {self.n} {self.seed}\n".encode())
        for number in range(self.count):
            self.load(number)
            for array in self._arrays:
                sha.update(array.data)
        return sha.hexdigest()


@dataclass(frozen=True)
class TrainRows:
    """Each member's rows of a shard: all but those that it holds out; see ``Rows``."""

    shards: Shards
    members: int

    @property
    def count(self) -> npt.NDArray[np.int64]:
        """The number of each member's rows, (P,)."""
        return np.full(self.members, self.shards.n - self.shards.held)

    def of(self, members: Indices) -> Indices:
        """Return the row numbers (p, n - held) of members."""
        shards = self.shards
        kept = np.ones((len(members), shards.n), np.bool_)
        np.put_along_axis(kept, _held(shards, members), False, axis=1)
        return np.nonzero(kept)[1].reshape(len(members), -1)


@dataclass(frozen=True)
class HeldRows:
    """Each member's rows of those that ``Shards.held_out`` returns; see ``Rows``."""

    shards: Shards
    members: int

    @property
    def count(self) -> npt.NDArray[np.int64]:
        """The number of each member's rows, (P,)."""
        return np.full(self.members, self.shards.count * self.shards.held)

    def of(self, members: Indices) -> Indices:
        """Return the row numbers (p, W held) of members."""
        starts = self.shards.candidates * np.arange(self.shards.count)
        own = _held(self.shards, members)[:, None] + starts[:, None]
        return own.reshape(len(members), -1)


def _held(shards: Shards, members: Indices) -> Indices:
    """Return which of a shard's rows members hold out, (p, held): neighbours hold out others."""
    first = np.asarray(members)[:, None] * shards.held
    return (first + np.arange(shards.held)) % shards.candidates


def folder() -> Path:
    """Return the folder for large temporary files: TMPDIR or /var/tmp, as /tmp may be in memory."""
    lasting = Path("/var/tmp")  # for files that nobody else opens
    if "TMPDIR" not in os.environ and os.access(lasting, os.W_OK):
        return lasting
    return Path(tempfile.gettempdir())


def _temporary_file(size: int, rows: int) -> Any:
    """Return a file that goes when it is closed, or when this process ends.

    Raises: SettingError if the disk has less space than ``size``; FileError.
    """
    place = folder()
    try:
        free = shutil.disk_usage(place).free
        if size > free:
            raise SettingError(
                f"{rows:,} encoded rows need {memory.shown(size)} in {place}, where "
                f"{memory.shown(free)} are free: set TMPDIR to a folder with more space"
            )
        return tempfile.TemporaryFile(buffering=0, prefix="seedbed-", dir=place)
    except OSError as error:
        raise FileError(
            f"cannot write to {place}: {reason(error)}: set TMPDIR to another folder"
        ) from None
