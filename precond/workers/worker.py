"""A worker process: runs the jobs its parent sends, one after another.

    python -m precond.workers.worker MEMORY PARENT

It ends with its parent, or after ``IDLE`` seconds without work (the parent starts another).
MEMORY is the most bytes it may allocate, 0 for no limit (Linux: RLIMIT_DATA, which engines
in processes of their own inherit).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import resource
import select
import signal
import sys
import traceback
from typing import IO

HEADER = 8
IDLE = 300.0
PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve until the pipe is closed."""
    memory, parent = int(sys.argv[1]), int(sys.argv[2])
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            return
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    if memory:
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    source = os.fdopen(os.dup(0), "rb", buffering=0)
    target = os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)  # what libraries print
    import torch

    torch.set_num_threads(1)
    _write(target, b"")
    _serve(source, target)


def _serve(source: IO[bytes], target: IO[bytes]) -> None:
    from precond.proof.ledger.ledger import Ledger
    from precond.workers.wire import Receiver, WorkOrder

    receiver = Receiver()
    with contextlib.ExitStack() as stack:
        opened: dict[str, Ledger] = {}
        while select.select([source], [], [], IDLE)[0]:
            header = _read(source, HEADER)
            if len(header) < HEADER:
                return
            order = pickle.loads(_read(source, int.from_bytes(header, "big")))
            assert isinstance(order, WorkOrder)
            if order.ledger is None:
                with Ledger(":memory:") as ledger:
                    reply = _run(receiver, order, ledger)
            else:
                try:
                    if order.ledger not in opened:
                        opened[order.ledger] = stack.enter_context(Ledger(order.ledger))
                    reply = _run(receiver, order, opened[order.ledger])
                except Exception as error:
                    reply = _error(error)
            _write(target, reply)


def _run(receiver: object, order: object, ledger: object) -> bytes:
    """The reply to an order, pickled."""
    from precond.proof.ledger.ledger import Ledger
    from precond.workers.wire import Receiver, Reply, WorkOrder

    assert isinstance(receiver, Receiver) and isinstance(order, WorkOrder)
    assert isinstance(ledger, Ledger)
    try:
        receiver.keep(order.shared, order.gone)
        result = receiver.unpack(order.job).run(ledger)
        entries = tuple(ledger.entries()) if order.ledger is None else ()
        return pickle.dumps(Reply(result, entries=entries), pickle.HIGHEST_PROTOCOL)
    except MemoryError:
        return pickle.dumps(Reply(failed="out of memory"))
    except RuntimeError as error:
        if "memory" in str(error).lower():  # torch's allocator raises no MemoryError
            return pickle.dumps(Reply(failed=f"out of memory: {str(error).splitlines()[0][:200]}"))
        return _error(error)
    except Exception as error:
        return _error(error)


def _error(error: Exception) -> bytes:
    """An exception to be raised in the parent."""
    from precond.workers.wire import Reply

    trace = traceback.format_exc()
    try:
        content = pickle.dumps(Reply(error=error, trace=trace))
        pickle.loads(content)
    except Exception:  # an exception that cannot travel: its text can
        content = pickle.dumps(Reply(error=RuntimeError(repr(error)), trace=trace))
    return content


def _read(source: IO[bytes], size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = source.read(min(1 << 20, size - len(parts)))
        if not part:
            break
        parts += part
    return bytes(parts)


def _write(target: IO[bytes], message: bytes) -> None:
    target.write(len(message).to_bytes(HEADER, "big"))
    target.write(message)
    target.flush()


if __name__ == "__main__":
    main()
