"""Standard streams whose text becomes LOG frames."""

import io
import sys


class _LogSink(io.RawIOBase):
    def __init__(self, fd, sink):
        super().__init__()
        self._fd = fd
        self._sink = sink

    def writable(self):
        return True

    def fileno(self):
        return self._fd

    def write(self, data):
        taken = bytes(data)
        self._sink(self._fd, taken)
        return len(taken)


def replace_streams(sink):
    """Puts text streams in place of sys.stdout and sys.stderr. `sink(fd, data)` takes every line's bytes.

    Returns a function that brings out text without a line feed at its end.
    """
    streams = []
    for name, fd in (("stdout", 1), ("stderr", 2)):
        stream = io.TextIOWrapper(
            io.BufferedWriter(_LogSink(fd, sink)),
            encoding="utf-8",
            errors="backslashreplace",
            line_buffering=True,
        )
        setattr(sys, name, stream)
        setattr(sys, "__%s__" % name, stream)
        streams.append(stream)

    def flush():
        for stream in streams:
            try:
                stream.flush()
            except ValueError:
                # The code has closed it.
                pass

    return flush
