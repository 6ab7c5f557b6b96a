"""Calls delivered ahead, started strictly in order."""

import json
import os
import threading
import time

from . import frames
from .tickets import TicketBook


class Inbox:
    """While code runs, calls delivered ahead simply stay in the socket and in the read buffer."""

    def __init__(self, channel, peak, attribution, contract, flush, leave):
        self._channel = channel
        self._peak = peak
        self._attribution = attribution
        self._contract = contract
        self._flush = flush
        # Ends the process as the given SystemExit says.
        self._leave = leave
        self._tickets = TicketBook()
        self._running = 0
        self._running_lock = threading.Lock()

    def run_one_by_one(self):
        """Runs every call in the main thread, so that signals and event loops work as anywhere."""
        while True:
            call_id, epoch, meta, event = self._next()
            if self._tickets.take(epoch):
                self._peak.reset()
                self._run(call_id, meta, event, time.perf_counter())

    def run_together(self, concurrency):
        """Runs up to `concurrency` calls at a time, in threads."""
        from concurrent.futures import ThreadPoolExecutor

        free = threading.Semaphore(concurrency)
        threads = ThreadPoolExecutor(concurrency, thread_name_prefix="call")

        def run(*call):
            self._run(*call)
            with self._running_lock:
                self._running -= 1
            free.release()

        while True:
            call_id, epoch, meta, event = self._next()
            free.acquire()
            if not self._tickets.take(epoch):
                free.release()
                continue
            with self._running_lock:
                if self._running == 0:
                    self._peak.reset()
                self._running += 1
            threads.submit(run, call_id, meta, event, time.perf_counter())

    def _next(self):
        kind, epoch, call_id, meta, event = self._channel.receive()
        if kind != frames.INVOKE:
            os._exit(frames.EXIT_PROTOCOL_ERROR)
        return call_id, epoch, meta, event

    def _run(self, call_id, meta_text, event, started):
        meta = json.loads(meta_text)
        self._attribution.begin(call_id, meta["requestId"])
        try:
            flag, error_type, payload = self._contract.invoke(event, meta)
        except SystemExit as ending:
            self._leave(ending)
        self._flush()
        figures = '"durationMs":%.3f,"peakKib":%d' % (
            (time.perf_counter() - started) * 1000,
            self._peak.read(),
        )
        if error_type is not None:
            figures += ',"errorType":' + json.dumps(error_type[:1024])
        self._attribution.end()
        self._channel.send(frames.RESULT, flag, call_id, ("{%s}" % figures).encode(), payload)
