"""Error bodies: pretty-printed with sorted keys, as the vendor's agent writes them."""

import json
import traceback

from ..loader import LoadError
from ..raised import code_frames, frame_lines, text_of

# The largest result of a synchronous call. Source: the vendor's limits page, "32 MB".
MAX_RESULT_BYTES = 32 * 1024 * 1024


def exception_failure(error):
    """What the handler or the initializer raised: (error type, body). One list for each frame of the stack."""
    error_type = type(error).__name__
    trace = [_frame_parts(frame) for frame in code_frames(error)]
    return error_type, _body(text_of(error), error_type, trace)


def failure_of(error):
    """The failure of load or initializer. The stack of a failed load is a flat list of lines."""
    if not isinstance(error, LoadError):
        return exception_failure(error)
    cause = error.__cause__
    error_type, message = _load_words(error, cause)
    return error_type, _body(message, error_type, [] if cause is None else _flat_trace(cause))


def too_large_failure():
    """In place of a result, or of an error body, over MAX_RESULT_BYTES: (error type, body).

    No published answer of the vendor for this case was found; name and text are those of its API for too large an event.
    """
    message = "payload size exceeds maximum allowed size (%d bytes)" % MAX_RESULT_BYTES
    return "EntityTooLarge", _body(message, "EntityTooLarge", [])


def _load_words(error, cause):
    if error.kind == "module_not_imported":
        return "ImportModuleError", "Unable to import module '%s'" % error.module
    if error.kind == "syntax_error":
        return "UserCodeSyntaxError", "Syntax error in module '%s'" % error.module
    if error.kind == "module_raised":
        return "UserCodeError", "Module initialization error: '%s'" % text_of(cause)
    if error.kind == "handler_not_found":
        return "HandlerNotFound", "Handler '%s' is missing on module '%s'" % (error.function, error.module)
    return "InvalidHandleName", "Invalid handler '%s'" % error.module


def _body(message, error_type, trace):
    return json.dumps(
        {"errorMessage": message, "errorType": error_type, "stackTrace": trace}, indent=4, sort_keys=True
    ).encode("utf-8")


def _frame_parts(frame):
    parts = ['File "%s"' % frame.filename, "line %d" % frame.lineno, "in %s" % frame.name]
    return parts + [frame.line] if frame.line else parts


def _flat_trace(error):
    lines = frame_lines(error)
    for line in traceback.format_exception_only(type(error), error):
        lines.extend(part.strip() for part in line.splitlines())
    return lines
