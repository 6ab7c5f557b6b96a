"""The read side of the ticket book: every byte is the right to start one call of the epoch it names."""

import os

from . import frames


class TicketBook:
    def __init__(self):
        # A ticket that was read for a call of another epoch; 0 when there is none.
        self._kept = 0

    def take(self, epoch):
        """True when the call at the head may start; False when it was revoked."""
        ticket = self._kept
        if not ticket:
            # Reading moves the offset that is shared with the server, under the kernel's lock.
            byte = os.read(frames.TICKETS_FD, 1)
            ticket = byte[0] if byte else 0
        if ticket == epoch:
            self._kept = 0
            return True
        self._kept = ticket
        return False
