"""Runs inside a sandbox, as text given to `python -c`. Compiles code without running it, and sends the .pyc files; see parcel.ts."""

import importlib.util
import json
import marshal
import os
import socket
import struct
import sys
import warnings

SOURCE = ".py"
HASHED = 0b01


def sources(place):
    for folder, folders, names in os.walk(place):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(folder, name)
            if name.endswith(SOURCE) and os.path.isfile(path) and not os.path.islink(path):
                yield path


def is_kept(compiled):
    """Says whether the package brings a compiled file that stays valid wherever it is unpacked."""
    try:
        with open(compiled, "rb") as file:
            head = file.read(8)
    except OSError:
        return False
    return head[:4] == importlib.util.MAGIC_NUMBER and len(head) == 8 and struct.unpack("<I", head[4:])[0] & HASHED


def compiled_form(path):
    """The content of the .pyc file, which is taken without a look at the source: both never change. None: it is not valid code."""
    with open(path, "rb") as file:
        source = file.read()
    try:
        code = compile(source, path, "exec", dont_inherit=True, optimize=0)
        body = marshal.dumps(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        return None
    return importlib.util.MAGIC_NUMBER + struct.pack("<I", HASHED) + importlib.util.source_hash(source) + body


def main():
    order = json.loads(sys.argv[1])
    warnings.simplefilter("ignore")
    os.nice(19)
    (place,) = order["places"]
    paths = list(sources(place))
    size = sum(os.path.getsize(path) for path in paths)
    channel = socket.socket(fileno=3)
    channel.setblocking(True)

    def send(path, content):
        name = path.encode("utf-8", "surrogateescape")
        channel.sendall(struct.pack(">II", len(name), len(content)) + name + content)

    if order["leastSourceBytes"] <= size <= order["mostSourceBytes"] and len(paths) <= order["mostFiles"]:
        for path in paths:
            target = importlib.util.cache_from_source(path, optimization="")
            content = None if is_kept(target) else compiled_form(path)
            if content is not None:
                send(os.path.relpath(target, place), content)
    send("", b"")


main()
