"""Runs one Python function in a sandbox; see ../protocol.md. Python 3.9 or later, standard library only."""

import sys

from _anvoke.life import Life

if sys.argv[1:] == ["--zygote"]:
    from _anvoke.zygote import Zygote

    del sys.argv[1:]
    # Python 3.10 and later.
    del getattr(sys, "orig_argv", [])[-1:]
    Zygote().serve()

# Code finds its own modules and the interpreter's, not the ones beside this file.
sys.path.pop(0)

Life().run()
