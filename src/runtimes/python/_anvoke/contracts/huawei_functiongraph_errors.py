"""Error bodies and what is logged of a failure: with four spaces, and paths from the code's directory on."""

import json
import os
import traceback

from ..loader import LoadError

# What precedes a message. Source: the vendor's developer guides.
ENTRY = "function entry exception, error: "
INVOCATION = "function invocation exception, error: "
INITIALIZATION = "function initialization exception, error: "
_RESULT = "function result is invalid, error: "

# By these names the host's half knows results that cannot be answered.
_RESULT_TOO_LARGE = "FunctionResponseTooLarge"
_RESULT_INVALID = "FunctionResultInvalid"

_OWN_DIRECTORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class InvalidResult(Exception):
    """A result that JSON cannot express; `__cause__` says why."""


def exception_failure(error, prefix, code_dir):
    """What the handler or the initializer raised: (error type, body)."""
    if isinstance(error, InvalidResult):
        cause = error.__cause__
        return _RESULT_INVALID, _body(_RESULT + _text(cause), type(cause).__name__, None, code_dir)
    error_type = type(error).__name__
    return error_type, _body(prefix + _text(error), error_type, _frames(error), code_dir)


def load_failure(error, prefix, role, code_dir):
    """Code that cannot be had: (error type, body). `role` is handler or initializer."""
    error_type, message = _load_words(error, role)
    return error_type, _body(prefix + message, error_type, None, code_dir)


def too_large_failure(size, limit):
    """In place of a result, or of an error body, that is too large: (error type, body)."""
    return _RESULT_TOO_LARGE, _body(too_large_text(size, limit), _RESULT_TOO_LARGE, None, "")


def too_large_text(size, limit):
    return "response body size %d exceeds the limit of %d" % (size, limit)


def logged_text(error, code_dir):
    """What the log shows of a failure: as Python prints it, without the frames of this program."""
    if isinstance(error, InvalidResult):
        return _RESULT + _text(error.__cause__)
    if isinstance(error, LoadError):
        if error.__cause__ is None:
            return _load_words(error, "handler")[1]
        error = error.__cause__
    lines = traceback.format_exception(type(error), error, _code_traceback(error))
    return _hidden("".join(lines).rstrip("\n"), code_dir)


def _load_words(error, role):
    cause = error.__cause__
    module = "./%s.py" % error.module
    if error.kind == "invalid_handler_name":
        return "FunctionConfigError", "invalid %s '%s'" % (role, error.module)
    if error.kind == "handler_not_found":
        return "FunctionConfigError", "%s '%s' not found in module '%s'" % (role, error.function, module)
    if _is_entry_missing(error):
        return "FunctionLoadError", "not found module '%s'" % module
    return type(cause).__name__, _text(cause)


def _is_entry_missing(error):
    """Whether it is the handler's own module, or a folder above it, that was not found."""
    name = error.module.replace("/", ".")
    cause = error.__cause__
    return isinstance(cause, ModuleNotFoundError) and ("%s." % name).startswith("%s." % cause.name)


def _body(message, error_type, trace, code_dir):
    members = {"errorMessage": message, "errorType": error_type}
    if trace is not None:
        members["stackTrace"] = trace
    return _hidden(json.dumps(members, indent=4), code_dir).encode("utf-8")


def _hidden(text, code_dir):
    return text.replace(code_dir, ".") if code_dir else text


def _frames(error):
    lines = []
    for frame in traceback.extract_tb(_code_traceback(error)):
        lines.append('File "%s", line %d, in %s' % (frame.filename, frame.lineno, frame.name))
        if frame.line:
            lines.append(frame.line)
    return lines


def _code_traceback(error):
    """The stack without the frames that led into the code: this program's and the import machinery's."""
    frame = error.__traceback__
    while frame is not None and _is_ours(frame.tb_frame.f_code.co_filename):
        frame = frame.tb_next
    return frame


def _is_ours(filename):
    return (
        filename.startswith((_OWN_DIRECTORY, "<frozen importlib"))
        or os.sep + "importlib" + os.sep in filename
    )


def _text(error):
    try:
        return str(error)
    except Exception:
        return "<%s whose text cannot be formed>" % type(error).__name__
