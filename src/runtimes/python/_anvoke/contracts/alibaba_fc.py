"""Function Compute's handler contract for Python: handler(event: bytes, context)."""

import datetime
import decimal
import json
import logging
import os
import sys
import time

from .. import frames
from ..loader import load_function
from . import alibaba_fc_errors as errors
from .alibaba_fc_context import Context

# The variables of the vendor's that its agent lets code see.
_VISIBLE = frozenset(
    "FC_FUNC_CODE_PATH FC_FUNCTION_MEMORY_SIZE FC_RUNTIME_VERSION FC_ACCOUNT_ID FC_FUNCTION_HANDLER FC_FUNCTION_NAME "
    "FC_SERVICE_NAME FC_VER_ID FC_QUALIFIER FC_REGION FC_INSTANCE_ID FC_SNAPSHOT_FLAG".split()
)

# Where layers put Python modules.
_LAYER_PATHS = (
    "/opt/python",
    "/opt/python/lib/python%d.%d/site-packages" % sys.version_info[:2],
)


class AlibabaFc:
    """Every failure of Python code is an unhandled one."""

    def __init__(self, setup, channel, attribution, flush):
        self._setup = setup
        self._channel = channel
        self._attribution = attribution
        # Brings out text without a line feed at its end.
        self._flush = flush
        self._handler = None
        for name in list(os.environ):
            if name.startswith(("FC_", "_FC_")) and name not in _VISIBLE:
                del os.environ[name]
        sys.path[1:1] = [path for path in _LAYER_PATHS if os.path.isdir(path)]
        root = logging.getLogger()
        root.addHandler(_LineHandler(channel, attribution))
        root.setLevel(logging.INFO)
        self._logger = (
            root
            if setup["concurrency"] > 1 or tuple(setup["context"]["generation"]) >= (3, 12)
            else None
        )

    def load(self):
        self._handler = load_function(self._setup["handler"])
        print("FunctionCompute python3 runtime inited.")

    def initialize(self):
        load_function(self._setup["initializer"])(self._context({"requestId": self._setup["requestId"]}))

    def invoke(self, event, meta):
        """Runs the handler: (flag, error type or None, payload)."""
        try:
            payload = _serialised(self._handler(event, self._context(meta)))
        except SystemExit:
            raise
        except BaseException as error:
            error_type, payload = self._reported(errors.exception_failure(error))
            return self._bounded(frames.THREW, error_type, payload)
        return self._bounded(frames.RETURNED, None, payload)

    def failure_of(self, error):
        """The failure of load or initializer: (error type, body). Called once; also writes it to the log."""
        return self._reported(errors.failure_of(error))

    def _bounded(self, flag, error_type, payload):
        if len(payload) <= errors.MAX_RESULT_BYTES:
            return flag, error_type, payload
        return (frames.THREW,) + self._reported(errors.too_large_failure())

    def _reported(self, failure):
        """The vendor's agent also prints what it answers for a failure: for an asynchronous call, the only place to read it."""
        _, body = failure
        self._flush()
        self._channel.log(frames.STDERR, self._attribution.call_id, body + b"\n")
        return failure

    def _context(self, meta):
        return Context(self._setup["context"], meta, self._logger)


class _LineHandler(logging.Handler):
    """`2017-07-05T05:13:35.920Z {requestId} [INFO] text`."""

    def __init__(self, channel, attribution):
        super().__init__()
        self._channel = channel
        self._attribution = attribution
        formatter = logging.Formatter(
            "%(asctime)s.%(msecs)03dZ %(request_id)s [%(levelname)s] %(message)s", "%Y-%m-%dT%H:%M:%S"
        )
        formatter.converter = time.gmtime
        self.setFormatter(formatter)

    def emit(self, record):
        try:
            record.request_id = self._attribution.request_id
            line = self.format(record) + "\n"
            self._channel.log(
                frames.STDOUT, self._attribution.call_id, line.encode("utf-8", "backslashreplace")
            )
        except Exception:
            self.handleError(record)


def _serialised(value):
    if isinstance(value, str):
        return value.encode("utf-8")
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    return json.dumps(value, indent=4, sort_keys=True, default=_plain).encode("utf-8")


def _plain(value):
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if hasattr(value, "to_json"):
        return value.to_json()
    raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)
