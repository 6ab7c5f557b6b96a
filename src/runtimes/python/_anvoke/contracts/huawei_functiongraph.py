"""FunctionGraph's handler contract for Python: handler(event, context), the event parsed from JSON."""

import json
import logging
import time

from .. import frames
from ..json_event import json_event_of
from ..loader import LoadError, load_function
from . import huawei_functiongraph_errors as errors
from .huawei_functiongraph_context import Context

# A longer text becomes several records. Source: the vendor's runtime.
_MAX_RECORD_CHARS = 90 * 1024


class HuaweiFunctionGraph:
    """Printed lines stay as they are; those of `logging`, which `context.getLogger` gives, become records."""

    def __init__(self, setup, channel, attribution, flush):
        self._setup = setup
        self._facts = setup["context"]
        self._channel = channel
        self._attribution = attribution
        # Brings out text without a line feed at its end.
        self._flush = flush
        self._started = time.perf_counter()
        self._handler = None
        self._logger = logging.getLogger()
        self._logger.addHandler(_RecordHandler(channel, attribution))
        self._logger.setLevel(logging.INFO)

    def load(self):
        self._handler = load_function(self._setup["handler"])

    def initialize(self):
        initializer = load_function(self._setup["initializer"])
        initializer(self._context(self._setup["requestId"], "", self._started))

    def invoke(self, event, meta):
        """Runs the handler: (flag, error type or None, payload)."""
        qualifier = meta.get("qualifier", "")
        alias = "" if qualifier == self._facts["version"] else qualifier
        context = self._context(meta["requestId"], alias, time.perf_counter())
        try:
            payload = _serialised(self._handler(json_event_of(event), context))
        except SystemExit:
            raise
        except BaseException as error:
            self._log_error(errors.logged_text(error, self._setup["codeDir"]))
            failure = errors.exception_failure(error, errors.INVOCATION, self._setup["codeDir"])
            return self._bounded(frames.THREW, *failure)
        return self._bounded(frames.RETURNED, None, payload)

    def failure_of(self, error):
        """The failure of load or initializer: (error type, body). Called once; also writes it to the log."""
        code_dir = self._setup["codeDir"]
        is_initializer = self._handler is not None
        prefix = errors.INITIALIZATION if is_initializer else errors.ENTRY
        self._log_error(errors.logged_text(error, code_dir))
        if isinstance(error, LoadError):
            role = "initializer" if is_initializer else "handler"
            return errors.load_failure(error, prefix, role, code_dir)
        return errors.exception_failure(error, prefix, code_dir)

    def _bounded(self, flag, error_type, payload):
        limit = self._facts["maxResultBytes"]
        if len(payload) <= limit:
            return flag, error_type, payload
        self._log_error(errors.too_large_text(len(payload), limit))
        return (frames.THREW,) + errors.too_large_failure(len(payload), limit)

    def _context(self, request_id, alias, started):
        return Context(self._facts, request_id, alias, started, self._logger)

    def _log_error(self, text):
        """The vendor's runtime also logs what it answers for a failure: for an asynchronous call, the only place to read it."""
        self._flush()
        record = _record(self._attribution.request_id, "ERROR", text)
        self._channel.log(frames.STDERR, self._attribution.call_id, record)


class _RecordHandler(logging.Handler):
    """`2022-09-20T11:43:57Z {request id} INFO text`."""

    def __init__(self, channel, attribution):
        super().__init__()
        self._channel = channel
        self._attribution = attribution

    def emit(self, record):
        try:
            text = self.format(record)
            for at in range(0, len(text) or 1, _MAX_RECORD_CHARS):
                part = text[at : at + _MAX_RECORD_CHARS]
                line = _record(self._attribution.request_id, record.levelname, part)
                self._channel.log(frames.STDOUT, self._attribution.call_id, line)
        except Exception:
            self.handleError(record)


def _record(request_id, level, text):
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return ("%s %s %s %s\n" % (stamp, request_id, level, text)).encode("utf-8", "backslashreplace")


def _serialised(value):
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace")
    try:
        return json.dumps(value).encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise errors.InvalidResult() from error
