"""Events that are JSON."""

import json


def json_event_of(data):
    """What the bytes of an event mean: JSON, or text that is none; nothing at all is an empty dict."""
    if not data:
        return {}
    text = data.decode("utf-8", "replace")
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text


def _refuse(name):
    raise ValueError("%s is not JSON" % name)
