"""Error bodies and what is logged of a failure: with four spaces, and paths from the code's directory on."""

import json
import traceback

from ..loader import LoadError
from ..raised import code_traceback, frame_lines, text_of

# What precedes a message. Source: the vendor's developer guides.
ENTRY = "function entry exception, error: "
INVOCATION = "function invocation exception, error: "
INITIALIZATION = "function initialization exception, error: "
_RESULT = "function result is invalid, error: "

# By these names the host's half knows results that cannot be answered.
_RESULT_TOO_LARGE = "FunctionResponseTooLarge"
_RESULT_INVALID = "FunctionResultInvalid"


class InvalidResult(Exception):
    """A result that JSON cannot express; `__cause__` says why."""


def exception_failure(error, prefix, code_dir):
    """What the handler or the initializer raised: (error type, body)."""
    if isinstance(error, InvalidResult):
        cause = error.__cause__
        return _RESULT_INVALID, _body(_RESULT + text_of(cause), type(cause).__name__, None, code_dir)
    error_type = type(error).__name__
    return error_type, _body(prefix + text_of(error), error_type, frame_lines(error), code_dir)


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
        return _RESULT + text_of(error.__cause__)
    if isinstance(error, LoadError):
        if error.__cause__ is None:
            return _load_words(error, "handler")[1]
        error = error.__cause__
    lines = traceback.format_exception(type(error), error, code_traceback(error))
    return _hidden("".join(lines).rstrip("\n"), code_dir)


def _load_words(error, role):
    cause = error.__cause__
    module = "./%s.py" % error.module
    if error.kind == "invalid_handler_name":
        return "FunctionConfigError", "invalid %s '%s'" % (role, error.module)
    if error.kind == "handler_not_found":
        return "FunctionConfigError", "%s '%s' not found in module '%s'" % (role, error.function, module)
    if error.is_module_missing():
        return "FunctionLoadError", "not found module '%s'" % module
    return type(cause).__name__, text_of(cause)


def _body(message, error_type, trace, code_dir):
    members = {"errorMessage": message, "errorType": error_type}
    if trace is not None:
        members["stackTrace"] = trace
    return _hidden(json.dumps(members, indent=4), code_dir).encode("utf-8")


def _hidden(text, code_dir):
    return text.replace(code_dir, ".") if code_dir else text
