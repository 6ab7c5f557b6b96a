import json
import logging
import platform


def handler(event, context):
    """The event arrives as bytes, exactly as the caller sent it; what is returned is the answer."""
    name = json.loads(event or "{}").get("name", "world")
    logging.getLogger().info("greeting %s", name)
    return {
        "greeting": "Hello, %s!" % name,
        "from": "Python %s" % platform.python_version(),
        "function": context.function.name,
    }
