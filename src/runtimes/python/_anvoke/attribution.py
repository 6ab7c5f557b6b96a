"""Which call is running here; before the first, the request id is that of the call the instance is set up for."""

import contextvars


class SingleCall:
    """Where one call runs at a time, whatever is written belongs to it."""

    def __init__(self, request_id):
        self.call_id = 0
        self.request_id = request_id

    def begin(self, call_id, request_id):
        self.call_id = call_id
        self.request_id = request_id

    def end(self):
        # The request id stays: late lines carry the one of the call that ended before.
        self.call_id = 0


class ConcurrentCalls:
    """Where several run, the context variables of Python know."""

    def __init__(self, request_id):
        self._running = contextvars.ContextVar("anvoke_call", default=(0, request_id))

    @property
    def call_id(self):
        return self._running.get()[0]

    @property
    def request_id(self):
        return self._running.get()[1]

    def begin(self, call_id, request_id):
        self._running.set((call_id, request_id))

    def end(self):
        self._running.set((0, self.request_id))
