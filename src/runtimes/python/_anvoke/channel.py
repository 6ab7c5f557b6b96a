"""The stream socket to the server."""

# The C module itself: importing `socket` would add a tenth to the start of the process.
import _socket
import os
import threading

from . import frames

_READ_BYTES = 64 * 1024


class Channel:
    """Reads frames in blocking mode and writes them so that no LOG frame is ever waited for.

    LOG frames that the kernel has no room for wait here, in order; the next frame takes them along, and RESULT, which
    does wait for room, brings them out at the latest.
    """

    def __init__(self):
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, frames.CHANNEL_FD)
        self._socket.setblocking(True)
        self._read = b""
        self._read_at = 0
        # Re-entrant, because a signal handler may print while the main thread is writing.
        self._lock = threading.RLock()
        self._is_writing = False
        self.is_let_go = False
        self._waiting = []
        self._waiting_bytes = 0
        self._dropped_bytes = 0

    def let_go(self):
        """In a forked child: the socket is the parent's. What is logged goes to the descriptor, as any program's."""
        self._socket.close()
        self._lock = threading.RLock()
        self.is_let_go = True

    def is_quiet(self, seconds):
        """Whether nothing arrives for so long. Takes nothing."""
        self._socket.settimeout(seconds)
        try:
            self._socket.recv(1, _socket.MSG_PEEK)
            return False
        except _socket.timeout:
            return True
        finally:
            self._socket.setblocking(True)

    def receive(self):
        """The next frame as (type, flag, call id, meta, payload). Ends the process when the server is gone."""
        length, kind, flag, meta_length, call_id = frames.HEADER.unpack(self._take(frames.HEADER.size))
        body_length = length - frames.COUNTED_HEADER_BYTES
        if length > frames.MAX_FRAME_BYTES or meta_length > body_length:
            os._exit(frames.EXIT_PROTOCOL_ERROR)
        meta = self._take(meta_length) if meta_length else b""
        return kind, flag, call_id, meta, self._take(body_length - meta_length)

    def send(self, kind, flag, call_id, meta=b"", payload=b""):
        """Sends one frame after everything that waits; returns once the kernel has all of it."""
        header = frames.HEADER.pack(
            frames.COUNTED_HEADER_BYTES + len(meta) + len(payload), kind, flag, len(meta), call_id
        )
        with self._lock:
            self._is_writing = True
            try:
                self._flush_waiting(0)
                if len(payload) <= _READ_BYTES:
                    self._send_all(header + meta + payload, 0)
                else:
                    self._send_all(header + meta, 0)
                    self._send_all(payload, 0)
            finally:
                self._is_writing = False

    def flush(self):
        """Brings out what waits."""
        with self._lock:
            if self._waiting and not self._is_writing:
                self._flush_waiting(0)

    def log(self, flag, call_id, text):
        """Sends bytes as LOG frames, or counts them as dropped while too many wait."""
        if self.is_let_go:
            os.write(flag, text)
            return
        with self._lock:
            is_nested = self._is_writing
            self._is_writing = True
            try:
                self._log(flag, call_id, text, is_nested)
            finally:
                self._is_writing = is_nested

    def _log(self, flag, call_id, text, is_nested):
        if self._waiting and not is_nested:
            self._flush_waiting(_socket.MSG_DONTWAIT)
        if self._waiting_bytes > frames.MAX_WAITING_LOG_BYTES:
            self._dropped_bytes += len(text)
            return
        if self._dropped_bytes:
            note = "[%d bytes of log dropped: written faster than read]\n" % self._dropped_bytes
            self._dropped_bytes = 0
            self._send_log(flag, call_id, note.encode(), is_nested)
        for at in range(0, len(text), frames.MAX_LOG_PAYLOAD_BYTES):
            if self._waiting_bytes > frames.MAX_WAITING_LOG_BYTES:
                self._dropped_bytes += len(text) - at
                return
            self._send_log(flag, call_id, text[at : at + frames.MAX_LOG_PAYLOAD_BYTES], is_nested)

    def _send_log(self, flag, call_id, payload, is_nested):
        header = frames.HEADER.pack(
            frames.COUNTED_HEADER_BYTES + len(payload), frames.LOG, flag, 0, call_id
        )
        rest = memoryview(header + payload)
        if not self._waiting and not is_nested:
            rest = self._send_all(rest, _socket.MSG_DONTWAIT)
        if len(rest):
            self._waiting.append(rest)
            self._waiting_bytes += len(rest)

    def _flush_waiting(self, flags):
        while self._waiting:
            first = self._waiting[0]
            rest = self._send_all(first, flags)
            self._waiting_bytes -= len(first) - len(rest)
            if len(rest):
                self._waiting[0] = rest
                return
            del self._waiting[0]

    def _send_all(self, data, flags):
        """Sends `data` as far as it goes under `flags` and returns what is left."""
        rest = memoryview(data)
        while len(rest):
            try:
                rest = rest[self._socket.send(rest, flags) :]
            except BlockingIOError:
                return rest
            except OSError:
                os._exit(0)
        return rest

    def _take(self, count):
        """The next `count` bytes of the stream, as `bytes`."""
        end = self._read_at + count
        if end <= len(self._read):
            taken = self._read[self._read_at : end]
            self._read_at = end
            return taken
        parts = [self._read[self._read_at :]]
        missing = count - len(parts[0])
        self._read = b""
        self._read_at = 0
        while missing > 0:
            # A big payload is read into one object of its size; anything else fills the buffer for the next frames.
            if missing > _READ_BYTES:
                chunk = self._socket.recv(missing, _socket.MSG_WAITALL)
            else:
                chunk = self._socket.recv(_READ_BYTES)
            if not chunk:
                os._exit(0)
            if len(chunk) > missing:
                self._read = chunk
                self._read_at = missing
                parts.append(chunk[:missing])
            else:
                parts.append(chunk)
            missing -= len(chunk)
        return b"".join(parts)
