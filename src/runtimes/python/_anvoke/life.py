"""From HELLO to the end of the process."""

import functools
import os
import sys
import time

from . import frames
from .channel import Channel


_LOAD_AHEAD_AFTER_SECONDS = 0.02


def load_ahead():
    """What any function needs, whichever contract it has."""
    from . import attribution, inbox, measure, streams  # noqa: F401
    from .contracts import CONTRACTS

    _load_modules()
    for load in CONTRACTS.values():
        load()


def _load_modules():
    import datetime  # noqa: F401 - contracts need these; loaded early they cost the set-up nothing
    import decimal  # noqa: F401
    import json  # noqa: F401
    import logging  # noqa: F401


class Life:
    """One function's whole life in this process."""

    def __init__(self):
        self._channel = Channel()
        version = '{"runtimeVersion":"%s"}' % ".".join(map(str, sys.version_info[:3]))
        self._channel.send(frames.HELLO, frames.PROTOCOL_VERSION, 0, version.encode())
        # Descriptors that programs started by the code must not hold.
        os.set_inheritable(frames.CHANNEL_FD, False)
        os.set_inheritable(frames.TICKETS_FD, False)

    def run(self):
        # Only now: a process started ahead of need has told that it lives and has time.
        _load_modules()
        import json

        from .attribution import ConcurrentCalls, SingleCall
        from .contracts import CONTRACTS
        from .inbox import Inbox
        from .measure import MemoryPeak
        from .streams import replace_streams

        # A process that is wanted is set up within a few milliseconds, and loads its own contract alone.
        if self._channel.is_quiet(_LOAD_AHEAD_AFTER_SECONDS):
            for load in CONTRACTS.values():
                load()
        kind, _, _, _, payload = self._channel.receive()
        if kind != frames.SETUP:
            os._exit(frames.EXIT_PROTOCOL_ERROR)
        setup = json.loads(payload)
        if setup["contract"] not in CONTRACTS:
            os._exit(frames.EXIT_PROTOCOL_ERROR)
        attribution = (SingleCall if setup["concurrency"] == 1 else ConcurrentCalls)(setup["requestId"])
        _replace_environment(setup["environment"])
        os.chdir(setup["codeDir"])
        sys.path[0:0] = [setup["codeDir"], *_python_path()]
        flush = replace_streams(
            lambda fd, data: self._channel.log(fd, attribution.call_id, data), setup["concurrency"] > 1
        )
        os.register_at_fork(before=flush, after_in_child=self._let_go)

        contract = CONTRACTS[setup["contract"]]()(setup, self._channel, attribution, flush)
        peak = MemoryPeak()
        leave = functools.partial(_leave, flush, self._channel)
        ready = self._open(contract, setup, peak, flush, leave)
        ready["peakKib"] = peak.read()
        self._channel.send(frames.READY, 0, 0, json.dumps(ready).encode())
        inbox = Inbox(self._channel, peak, attribution, contract, flush, leave)
        if setup["concurrency"] == 1:
            inbox.run_one_by_one()
        else:
            inbox.run_together(setup["concurrency"])

    def _open(self, contract, setup, peak, flush, leave):
        """Loads the code and runs the initializer; sends FAILED and ends the process when that fails."""
        step = frames.FAILED_LOAD
        started = time.perf_counter()
        try:
            contract.load()
            loaded = time.perf_counter()
            if "initializer" in setup:
                step = frames.FAILED_INITIALIZER
                flush()
                self._channel.send(frames.LOADED, 0, 0)
                contract.initialize()
            flush()
            return {
                "loadMs": round((loaded - started) * 1000, 3),
                "initMs": round((time.perf_counter() - loaded) * 1000, 3),
            }
        except SystemExit as ending:
            leave(ending)
        except BaseException as error:
            import json

            error_type, body = contract.failure_of(error)
            flush()
            meta = json.dumps({"errorType": error_type[:1024], "peakKib": peak.read()})
            self._channel.send(frames.FAILED, step, 0, meta.encode(), body)
            os._exit(0)

    def _let_go(self):
        # Children of a child have long let go: the number of the descriptor may mean a file of theirs.
        if not self._channel.is_let_go:
            self._channel.let_go()
            os.close(frames.TICKETS_FD)


def _leave(flush, channel, ending):
    """What sys.exit does, from any thread, but without taking the interpreter apart.

    That takes time and, up to Python 3.9, ends in a segmentation fault where the standard streams were replaced.
    """
    import atexit

    code = ending.code
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    atexit._run_exitfuncs()
    flush()
    channel.flush()
    os._exit((code or 0) & 0xFF)


def _python_path():
    """Where the function's PYTHONPATH says, as if the process had been started with it."""
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return [os.path.abspath(path) for path in paths if path]


def _replace_environment(variables):
    os.environ.clear()
    os.environ.update(variables)
    time.tzset()
