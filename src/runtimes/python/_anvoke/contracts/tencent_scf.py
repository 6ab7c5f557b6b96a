"""SCF's handler contract for Python: main_handler(event, context), both made of plain values."""

import decimal
import logging
import sys

from .. import frames
from ..json_event import json_event_of
from ..loader import load_function
from . import tencent_scf_errors as errors


class TencentScf:
    """Printed lines stay as they are, and so do those of `logging`, from DEBUG on."""

    def __init__(self, setup, channel, attribution, flush):
        self._setup = setup
        self._attribution = attribution
        self._handler = None
        root = logging.getLogger()
        root.addHandler(logging.StreamHandler(sys.stdout))
        root.setLevel(logging.DEBUG)

    def load(self):
        self._handler = load_function(self._setup["handler"])

    def initialize(self):
        """The vendor's functions have no initializer."""

    def invoke(self, event, meta):
        """Runs the handler: (flag, error type or None, payload)."""
        request_id = meta["requestId"]
        try:
            payload = _serialised(self._handler(json_event_of(event), self._context(request_id)))
        except SystemExit:
            raise
        except BaseException as error:
            error_type, payload = errors.exception_failure(error, request_id)
            return self._bounded(frames.THREW, error_type, payload, request_id)
        return self._bounded(frames.RETURNED, None, payload, request_id)

    def failure_of(self, error):
        """The failure of the load: (error type, body)."""
        return errors.load_failure(error, self._attribution.request_id)

    def _bounded(self, flag, error_type, payload, request_id):
        if len(payload) <= errors.MAX_RESULT_BYTES:
            return flag, error_type, payload
        return (frames.THREW,) + errors.too_large_failure(request_id)

    def _context(self, request_id):
        return dict(self._setup["context"]["members"], request_id=request_id)


def _serialised(value):
    # The vendor's oldest runtimes do so, with a result that is one, not with those inside.
    if isinstance(value, decimal.Decimal):
        value = str(value)
    return errors.json_bytes(value)
