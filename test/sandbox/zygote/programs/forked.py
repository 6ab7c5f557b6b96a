"""For tests: becomes the program on its command line, be it started in the ordinary way or forked from a zygote.

Behind `-c`, it runs the Python that follows in this very process.
"""

import os
import sys

# Where the tests mount Python's bootstrap.
sys.path.insert(0, "/anvoke/bootstrap")

if sys.argv[-1] == "--zygote":
    from _anvoke.zygote import Zygote

    del sys.argv[-1]
    # Kept, so that what it leaves in memory stays where it is found.
    zygote = Zygote()
    zygote.serve()

if sys.argv[1] == "-c":
    exec(compile(sys.argv[2], "<test>", "exec"), {"__name__": "__main__"})
    sys.exit()

try:
    os.execvp(sys.argv[1], sys.argv[1:])
except OSError as error:
    sys.stderr.write("%s: %s\n" % (sys.argv[1], error))
    os._exit(127)
