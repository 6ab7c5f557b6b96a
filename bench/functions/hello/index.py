"""Hello world: a small JSON event in, a small JSON result out; the same as index.js."""

import json


def handler(event, context):
    name = json.loads(event)["name"]
    return json.dumps({"message": "Hello, %s!" % name}, separators=(",", ":"))
