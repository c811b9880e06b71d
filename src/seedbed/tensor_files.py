"""Tensors and metadata in a safetensors file, read only after its header is found to be small."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from seedbed.arrays import Array
from seedbed.errors import FileError, MissingDependencyError, reason

MAX_HEADER, MAX_HEADER_VALUES, MAX_TENSORS = 2**25, 1_000_000, 1_000
"""Bytes and values of a header: more than a table of 10,000 columns has, parsed in a second."""


def to_bytes(tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> bytes:
    """Return a safetensors file; the same content gives the same bytes."""
    return _in_order(_safetensors().numpy.save(dict(tensors), metadata=dict(metadata)))


def _in_order(content: bytes) -> bytes:
    """Return a safetensors file whose metadata are sorted: their order varies from save to save."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the tensors stay aligned
    return len(text).to_bytes(8, "little") + text + content[end:]


def read(path: Path, what: str, mend: str) -> tuple[dict[str, str], dict[str, Array]]:
    """Return the metadata and the tensors of a safetensors file.

    what, mend  for messages: what it should be, and how to mend another

    Raises: FileError if it cannot be read, is no such file, or is truncated;
    MissingDependencyError without safetensors.
    """
    safetensors = _safetensors()
    _check_header(path, what, mend)
    try:
        with safetensors.safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            names = file.keys()  # the file object is not iterable
            if len(names) > MAX_TENSORS:
                raise ValueError(f"it holds more than {MAX_TENSORS:,} tensors")
            return metadata, {name: file.get_tensor(name) for name in names}
    except (safetensors.SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:
        raise FileError(
            f"{path} is not {what}, or is truncated ({first_line(error)}): {mend}"
        ) from None


def check_installed() -> None:
    """Raise MissingDependencyError without safetensors."""
    _safetensors()


def _check_header(path: Path, what: str, mend: str) -> None:
    """Refuse, before it is parsed, a file whose header is too long or takes long to parse.

    Raises: FileError.
    """
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe would wait forever
            raise OSError(errno.EINVAL, "it is no regular file")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            header = file.read(length) if length <= min(size, MAX_HEADER) else b""
    except (OSError, ValueError) as error:
        raise FileError(f"cannot read {path}: {reason(error)}: {mend}") from None
    if length > MAX_HEADER:
        problem = f"its header has {length:,} bytes, and that of a model at most {MAX_HEADER:,}"
    elif sum(header.count(each) for each in b",[{") > MAX_HEADER_VALUES:
        problem = f"its header holds more than {MAX_HEADER_VALUES:,} values"
    elif len(header) < length:
        problem = "it ends within its header"
    else:
        return
    raise FileError(f"{path} is not {what}, or is truncated ({problem}): {mend}")


def digest_of(text: str, tensors: Mapping[str, Array]) -> str:
    """Return the SHA-256 of a text and tensors, as hexadecimal digits."""
    sha = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        sha.update(f"\n{name} {tensor.dtype.str} {tensor.shape}\n".encode())
        sha.update(np.ascontiguousarray(tensor).data)
    return sha.hexdigest()


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message."""
    return (str(error) or type(error).__name__).splitlines()[0]


def _safetensors() -> Any:
    try:
        import safetensors
        import safetensors.numpy
    except ModuleNotFoundError:
        raise MissingDependencyError("safetensors", "files") from None
    return safetensors
