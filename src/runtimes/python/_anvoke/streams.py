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


def replace_streams(sink, is_shared):
    """Puts text streams in place of sys.stdout and sys.stderr. `sink(fd, data)` takes every line's bytes.

    `is_shared` means that several calls write at the same time: nothing is then kept for the rest of its line, which
    could become another call's.

    Returns a function that brings out text without a line feed at its end.
    """
    streams = []
    for name, fd in (("stdout", 1), ("stderr", 2)):
        raw = _LogSink(fd, sink)
        stream = io.TextIOWrapper(
            raw if is_shared else io.BufferedWriter(raw),
            encoding="utf-8",
            errors="backslashreplace",
            line_buffering=not is_shared,
            write_through=is_shared,
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
