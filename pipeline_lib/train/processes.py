"""Several processes on one machine that train one network together: started, watched, ended together.

They come from a clean server that has torch loaded ("forkserver"), so that nothing of CUDA or of thread pools is
inherited. Whatever happens to one of them ends all: a training with a missing process would wait for ever.
"""

from __future__ import annotations

import logging
import logging.handlers
import multiprocessing
import os
import pickle
import queue
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import TypeVar

import torch

from pipeline_lib.errors import GyreError, Interrupted, TrainingError
from pipeline_lib.train.share import Share
from pipeline_lib.train.stopping import Signals

J = TypeVar("J")

_LOOK_SECONDS = 0.5
"""How often the parent looks whether it was sent a signal."""


def run_together(function: Callable[[J, Share], None], job: J, count: int, *, backend: str) -> None:
    """Call ``function(job, share)`` in ``count`` new processes that belong to one process group of torch.

    Parameters
    ----------
    function
        A function at the top level of a module.
    job
        What it works on; each process gets a copy.
    count
        Number of processes.
    backend
        ``gloo`` on CPUs, ``nccl`` on GPUs.

    Raises
    ------
    GyreError
        What one of the processes raised; :class:`TrainingError` if one was killed.
    """
    try:
        payload = pickle.dumps((function, job))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TrainingError(
            f"cannot be handed to several processes: {error}", where="devices", fix="set devices: 1"
        ) from error
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # it warns of what loop.py chooses on purpose
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pipeline_lib.train.loop"])
    threads = max(1, torch.get_num_threads() // count)
    connections: dict[Connection, int] = {}
    processes: list[ForkServerProcess] = []
    with tempfile.TemporaryDirectory(prefix="gyre-") as folder, Signals() as signals:
        try:
            for index in range(count):
                receiver, sender = context.Pipe(duplex=False)
                arguments = (payload, Share(index, count), backend, folder, threads, sender)
                process = context.Process(target=_work, args=arguments, name=f"training process {index + 1} of {count}")
                process.start()
                sender.close()  # so that the pipe ends with the process
                processes.append(process)
                connections[receiver] = index
            _watch(processes, connections, signals)
        finally:
            for process in processes:
                process.kill()  # nothing happens to one that has ended
                process.join()


def _watch(processes: list[ForkServerProcess], connections: dict[Connection, int], signals: Signals) -> None:
    told = False
    while connections:
        if signals.received is not None and not told:
            told = True
            for process in processes:
                process.terminate()  # they save, and the first one says so
        for connection in wait(list(connections), timeout=_LOOK_SECONDS):
            if not isinstance(connection, Connection):
                continue
            index = connections[connection]
            try:
                kind, content = connection.recv()
            except (EOFError, OSError, pickle.UnpicklingError):
                raise _lost(processes[index], signals.received) from None
            if kind == "log":
                logging.getLogger(content.name).handle(content)
            elif kind == "end" or (kind == "error" and content[0] is Interrupted and index != 0):
                del connections[connection]  # the first one may still be saving, and tells of it
            elif kind == "error":
                raise content[0](content[1], where=content[2], fix=content[3])
            else:
                raise RuntimeError(f"{processes[index].name} failed\n{content}")


def _lost(process: ForkServerProcess, received: signal.Signals | None) -> GyreError:
    process.join()
    if received is not None:  # it came before the process listened to signals, or the time to save was too short
        return Interrupted(f"stopped by {received.name}", fix="run again: it goes on after the last checkpoint")
    code = process.exitcode or 0
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    advice = "; SIGKILL often means too little memory" if code == -signal.SIGKILL else ""
    return TrainingError(f"{process.name} {how}", fix=f"run again: it goes on after the last checkpoint{advice}")


class _ToParent(logging.handlers.QueueHandler):
    """Hands log records to the parent, whose handlers know where they go."""

    def __init__(self, parent: Connection) -> None:
        super().__init__(queue.SimpleQueue())  # not used: a record is sent at once
        self._parent = parent

    def enqueue(self, record: logging.LogRecord) -> None:
        """Send a record."""
        self._parent.send(("log", record))


def _work(payload: bytes, share: Share, backend: str, folder: str, threads: int, parent: Connection) -> None:
    """Do one process's share, and tell the parent how it ended."""
    threading.Thread(target=_die_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it as well, and ends us
    root = logging.getLogger("pipeline_lib")
    root.addHandler(_ToParent(parent))
    root.setLevel(logging.INFO if share.first else logging.CRITICAL)  # all would say the same
    root.propagate = False
    try:
        _join_group(share, backend, folder, threads)
        function, job = pickle.loads(payload)
        function(job, share)
        torch.distributed.destroy_process_group()
        parent.send(("end", None))
    except GyreError as error:
        parent.send(("error", (type(error), error.what, error.where, error.fix)))
    except BaseException:
        parent.send(("defect", traceback.format_exc()))
    parent.close()
    os._exit(0)  # the threads of a broken process group would not let Python end


def _join_group(share: Share, backend: str, folder: str, threads: int) -> None:
    torch.set_num_threads(threads)
    # Lightning reads these: the first makes it start no processes itself, the second keeps it from setting threads.
    os.environ["LOCAL_RANK"], os.environ["OMP_NUM_THREADS"] = str(share.index), str(threads)
    loopback = "lo0" if sys.platform == "darwin" else "lo"
    for library in ("GLOO", "NCCL"):
        os.environ.setdefault(f"{library}_SOCKET_IFNAME", loopback)  # all processes are on this machine
    device = None
    if backend == "nccl":
        device = torch.device("cuda", share.index)
        torch.cuda.set_device(device)
    # They meet at a file in a private folder: no port to be taken by another, none open to others.
    torch.distributed.init_process_group(
        backend,
        init_method=(Path(folder) / "meeting").as_uri(),
        rank=share.index,
        world_size=share.count,
        device_id=device,
    )


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
