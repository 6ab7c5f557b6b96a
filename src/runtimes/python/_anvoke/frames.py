"""The numbers of ../../protocol.md: descriptors, frame types, flags and limits."""

import struct

PROTOCOL_VERSION = 1
CHANNEL_FD = 3
TICKETS_FD = 4

HEADER = struct.Struct("<IBBHI")
# Of the header, what the length field itself counts.
COUNTED_HEADER_BYTES = 8
MAX_FRAME_BYTES = 64 * 1024 * 1024
MAX_LOG_PAYLOAD_BYTES = 32 * 1024
MAX_WAITING_LOG_BYTES = 1024 * 1024

HELLO, SETUP, READY, FAILED, INVOKE, RESULT, LOG, LOADED = range(1, 9)

FAILED_LOAD, FAILED_INITIALIZER = 1, 2
RETURNED, THREW = 0, 1
STDOUT, STDERR = 1, 2

EXIT_PROTOCOL_ERROR = 70
