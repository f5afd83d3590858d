"""Checkpoints that are either whole or refused.

A checkpoint is one file: a line that names the format, a line with the SHA-256 of the rest, and the rest as
``torch.save`` writes plain values (tensors, numbers, strings, lists, dicts). Each is written beside its final name,
synchronised, renamed, read again and compared. Hash and data sit in one file because two files cannot be replaced
at once. Reading checks the hash first and then unpickles weights only, so that no code in a file can run.
"""

from __future__ import annotations

import hashlib
import io
import logging
import pickle
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pipeline_lib.errors import StoreError, TrainingError
from pipeline_lib.io.atomic import write_bytes

logger = logging.getLogger(__name__)

MAGIC = b"GYRE CHECKPOINT 1\n"
KEEP = 2
"""Checkpoints kept: the last, and the one before in case the last is damaged."""

_HASH_LENGTH = 64
_NAME = re.compile(r"(?:epoch-(?P<after>\d{6})|batch-(?P<within>\d{6})-(?P<batch>\d{6}))\.ckpt")


def write_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write a checkpoint and make sure that it can be read back.

    Parameters
    ----------
    path
        File to write; replaced at once, never half.
    state
        Plain values and tensors only.

    Raises
    ------
    TrainingError
        If the folder cannot be written, the disk is full, or the file read back differs.
    """
    buffer = io.BytesIO()
    torch.save(plain(state), buffer)
    payload = buffer.getvalue()
    content = MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload
    try:
        write_bytes(path, content)
        again = path.read_bytes()
    except (StoreError, OSError) as error:
        reason = error.what if isinstance(error, StoreError) else error.strerror or error
        raise TrainingError(
            f"checkpoint is lost: {reason}",
            where=str(path),
            fix="check that the folder is writable and the disk has room",
        ) from error
    if again != content:
        raise TrainingError("checkpoint read back differs from what was written", where=str(path), fix="check the disk")


def plain(value: object) -> object:
    """Return a copy on the CPU in which nothing is shared but equal strings, so that equal states give equal bytes.

    Pickle writes a second reference to an object shorter than a second equal object, and which of both a state holds
    depends on whether parts of it were read from a checkpoint.
    """
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(plain(item) for item in value)
    if isinstance(value, str):
        return sys.intern(str(value))
    return value.detach().cpu().clone() if isinstance(value, torch.Tensor) else value


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint; tensors come to the CPU.

    Raises
    ------
    TrainingError
        If the file is missing, truncated, damaged, not a checkpoint, or holds more than plain values.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TrainingError(f"checkpoint cannot be read: {error.strerror}", where=str(path)) from error
    head = len(MAGIC) + _HASH_LENGTH + 1
    if not content.startswith(MAGIC) or len(content) <= head:
        raise TrainingError("is not a whole checkpoint of this program", where=str(path))
    payload = content[head:]
    if content[len(MAGIC) : head] != hashlib.sha256(payload).hexdigest().encode() + b"\n":
        raise TrainingError("checkpoint does not match its SHA-256", where=str(path))
    try:
        state = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError) as error:
        raise TrainingError("checkpoint holds something else than plain values", where=str(path)) from error
    if not isinstance(state, dict):
        raise TrainingError("checkpoint holds no state", where=str(path))
    return state


class CheckpointFolder:
    """The checkpoints of one training: after each epoch, and where one was interrupted; the last :data:`KEEP` are kept.

    Parameters
    ----------
    folder
        Where they lie; made if missing.

    Attributes
    ----------
    saved
        Whether this object has saved any.
    slowest_save
        Seconds that the slowest save took.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.saved, self.slowest_save = False, 0.0

    def path(self, epoch: int, batch: int = 0) -> Path:
        """Return the path of the checkpoint after ``epoch`` finished epochs and ``batch`` batches of the next."""
        return self.folder / (f"batch-{epoch:06d}-{batch:06d}.ckpt" if batch else f"epoch-{epoch:06d}.ckpt")

    def require_writable(self) -> None:
        """Raise :class:`TrainingError` if nothing can be written here, before hours are spent."""
        probe = self.folder / ".probe"
        write_checkpoint(probe, {})
        probe.unlink()

    def save(self, epoch: int, state: Mapping[str, Any], *, batch: int = 0) -> Path:
        """Write the checkpoint after ``epoch`` epochs and ``batch`` batches, and remove those no longer needed."""
        begin = time.monotonic()
        path = self.path(epoch, batch)
        write_checkpoint(path, state)
        for old in self._newest_first()[KEEP:]:
            old.unlink(missing_ok=True)
        self.saved, self.slowest_save = True, max(self.slowest_save, time.monotonic() - begin)
        return path

    def latest(self) -> tuple[Path, dict[str, Any]] | None:
        """Return the newest checkpoint that is whole; damaged ones are named in a warning and passed over."""
        for path in self._newest_first():
            try:
                return path, read_checkpoint(path)
            except TrainingError as error:
                logger.warning("%s; trying the one before", error.line)
        return None

    def _newest_first(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        found = [(match, f) for f in self.folder.iterdir() if (match := _NAME.fullmatch(f.name))]
        return [f for _, f in sorted(found, key=lambda pair: _place(pair[0]), reverse=True)]


def _place(match: re.Match[str]) -> tuple[int, int]:
    return int(match["after"] or match["within"]), int(match["batch"] or 0)


def require_same_run(saved: Mapping[str, Any], wanted: Mapping[str, Any], *, where: Path) -> None:
    """Refuse to continue a training that was started with anything else.

    Parameters
    ----------
    saved, wanted
        What defines the run: model, options, seed, data, precision; plain values.
    where
        The checkpoint, for the message.

    Raises
    ------
    TrainingError
        Naming the first entry that differs.
    """
    for key in sorted({*saved, *wanted}):
        if saved.get(key) != wanted.get(key):
            raise TrainingError(
                f"checkpoint was made with {key} = {_short(saved.get(key))}, now it is {_short(wanted.get(key))}",
                where=str(where),
                fix=f"delete {where.parent} to train anew, or restore the setting",
            )


def _short(value: object, length: int = 120) -> str:
    text = repr(value)
    return text if len(text) <= length else f"{text[:length]}…"
