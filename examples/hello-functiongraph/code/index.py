import platform


def handler(event, context):
    """The event arrives as what its JSON holds; what is returned becomes JSON, and a string goes out as it is."""
    name = event.get("name", "world")
    context.getLogger().info("greeting %s" % name)
    return {
        "greeting": "Hello, %s!" % name,
        "from": "Python %s" % platform.python_version(),
        "function": context.getFunctionName(),
    }
