"""Error bodies: members in alphabetical order, the stack as the text that Python prints."""

import json
import sys
import traceback

from ..loader import LoadError
from ..raised import code_traceback

# The largest result of a synchronous call. Source: the vendor's quota page, "6 MB"; counted as MiB by its runtimes.
MAX_RESULT_BYTES = 6 * 1024 * 1024


def exception_failure(error, request_id):
    """What the handler raised, or what its result could not be turned into: (error type, body)."""
    body = {
        "errorCode": 1,
        "errorMessage": "user code exception caught",
        "requestId": request_id,
        "stackTrace": _trace(error),
        "statusCode": 430,
    }
    return type(error).__name__, _body(body)


def load_failure(error, request_id):
    """Code that cannot be had: 437 where the entry file is missing, 443 for everything else. (error type, body)."""
    is_entry_missing, message = _load_words(error)
    body = {
        "errorCode": 1,
        "errorMessage": message,
        "requestId": request_id,
        "statusCode": 437 if is_entry_missing else 443,
    }
    return "HandlerNotFound" if is_entry_missing else "UserCodeError", _body(body)


def too_large_failure(request_id):
    """In place of a result, or of an error body, over MAX_RESULT_BYTES: (error type, body)."""
    body = {
        "errorCode": -1,
        "errorMessage": "The size of response exceeds the upper limit (6MB)",
        "requestId": request_id,
        "statusCode": 407,
    }
    return "ResponseTooLarge", _body(body)


def json_bytes(value, separators=None):
    """JSON as the vendor's runtimes write it: characters beyond ASCII as themselves, unless UTF-8 has none for them."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=separators).encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, separators=separators).encode("ascii")


def _load_words(error):
    if not isinstance(error, LoadError):
        return False, _trace(error)
    if error.kind == "invalid_handler_name":
        return True, _text_of("ValueError", "Invalid handler '%s'" % error.module)
    if error.kind == "handler_not_found":
        name = error.module.replace("/", ".")
        if hasattr(sys.modules.get(name), error.function):
            return False, _text_of("TypeError", "'%s' of module '%s' is not callable" % (error.function, name))
        return False, _text_of("AttributeError", "module '%s' has no attribute '%s'" % (name, error.function))
    return error.is_module_missing(), _trace(error.__cause__)


def _text_of(error_type, message):
    return "Traceback (most recent call last):\n%s: %s" % (error_type, message)


def _trace(error):
    """As Python prints it, without the frames that led into the code: this program's and the import machinery's."""
    frame = code_traceback(error)
    lines = traceback.format_exception(type(error), error, frame)
    if frame is None:
        lines.insert(0, "Traceback (most recent call last):\n")
    return "".join(lines).rstrip("\n")


def _body(members):
    """Characters that matter in HTML escaped, as the vendor's platform writes them."""
    body = json_bytes(members, (",", ":"))
    for character in (b"<", b">", b"&"):
        body = body.replace(character, b"\\u%04x" % ord(character))
    return body.replace("\u2028".encode(), b"\\u2028").replace("\u2029".encode(), b"\\u2029")
