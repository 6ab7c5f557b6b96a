"""A process that has loaded what every function needs, and forks one process after another for functions.

It never runs code of a function. See ../../protocol.md, "Zygotes".
"""

import _socket
import base64
import gc
import json
import os
import select
import signal

from . import frames, isolation, life

_SET_SIZE = 4

_FAILED = 125


class Zygote:
    def __init__(self):
        self._server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, frames.CHANNEL_FD)
        self._unread = b""
        self._config = None
        self._filter = None
        # Process id → set of descriptors.
        self._children = {}

    def serve(self):
        """Returns in each process that it forks, isolated and with its descriptors; itself it ends with the server."""
        life.load_ahead()
        isolation.adopt_orphans()
        gc.disable()
        gc.collect()
        # What is there now is everybody's: looking at it for garbage would copy it to each.
        gc.freeze()
        woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._tell({"ready": True})
        while True:
            readable, _, _ = select.select([self._server, woken], [], [])
            if woken in readable:
                os.read(woken, 4096)
                self._reap()
            if self._server in readable:
                for order in self._orders():
                    if self._config is None:
                        self._configure(order)
                    elif self._fork(order):
                        return

    def _configure(self, config):
        self._config = config
        self._filter = None if config["filter"] is None else base64.b64decode(config["filter"])

    def _orders(self):
        data = self._server.recv(65536)
        if not data:
            os._exit(0)
        *lines, self._unread = (self._unread + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def _tell(self, message):
        self._server.sendall(json.dumps(message).encode() + b"\n")

    def _reap(self):
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            number = self._children.pop(pid, None)
            if number is not None:
                self._tell({"set": number, "ended": _exit_code(status)})

    def _fork(self, order):
        """True in the new process.

        A process between the two takes the namespaces, so that this one keeps its own.
        """
        zygote = os.getpid()
        told, tell = os.pipe()
        wait, go = os.pipe()
        between = os.fork()
        if between == 0:
            try:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                isolation.enter_groups(order["entries"])
                isolation.leave_namespaces(order["ownNetwork"])
                first = os.fork()
                if first != 0:
                    os.write(tell, b"%d\n" % first)
                    os._exit(0)
            except BaseException as error:
                os.write(tell, b"%s\n" % str(error).encode())
                os._exit(_FAILED)
            os.close(tell)
            os.close(go)
            self._isolate(order, wait, zygote)
            return True
        os.close(tell)
        os.close(wait)
        answer = _read_line(told)
        os.close(told)
        os.waitpid(between, 0)
        number = order["set"]
        if answer.isdigit():
            self._children[int(answer)] = number
            self._tell({"set": number, "pid": int(answer)})
            # Only now is it a child of this process, whose end is to be its own.
            os.write(go, b"g")
        else:
            self._tell({"set": number, "refused": answer or "it ended at once"})
        os.close(go)
        for fd in self._fds(number):
            os.close(fd)
        return False

    def _fds(self, number):
        first = self._config["firstFd"] + number * _SET_SIZE
        return range(first, first + _SET_SIZE)

    def _isolate(self, order, wait, zygote):
        """In the first process of the namespaces: returns in its child, which is the function's."""
        try:
            # Its number becomes the function's channel, which must not be closed with this object.
            self._server.detach()
            for target, fd in enumerate(self._fds(order["set"]), 1):
                os.dup2(fd, target)
            if os.read(wait, 1) == b"":
                os._exit(0)
            isolation.end_with_parent(zygote)
            _close_from(5)
            isolation.build_room(order, self._config)
            function = os.fork()
            if function != 0:
                isolation.drop_bounding_set()
                isolation.drop_capabilities()
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                os.closerange(0, 5)
                _await_all(function)
            os.setsid()
            if self._config["ownUserNamespace"]:
                isolation.enter_user_namespace(order["uid"])
            isolation.limit_resources(order["limits"])
            isolation.drop_bounding_set()
            if not self._config["ownUserNamespace"]:
                isolation.take_user_id(order["uid"])
            isolation.drop_capabilities()
            isolation.show_own_proc()
            os.chdir(order["workDir"])
            isolation.filter_calls(self._filter)
            gc.enable()
        except BaseException as error:
            os.write(2, b"zygote: %s\n" % str(error).encode())
            os._exit(_FAILED)


def _await_all(function):
    """What the first process of a pid namespace is for. Ends it when the function's process ends, as that one did."""
    while True:
        pid, status = os.wait()
        if pid == function:
            code = _exit_code(status)
            os._exit(code if code >= 0 else 128 - code)


def _exit_code(status):
    """Negative: the signal that ended it."""
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _close_from(least):
    for name in os.listdir("/proc/self/fd"):
        if int(name) >= least:
            try:
                os.close(int(name))
            except OSError:
                # The one that the directory was read with.
                pass


def _read_line(fd):
    text = b""
    while not text.endswith(b"\n"):
        data = os.read(fd, 4096)
        if not data:
            break
        text += data
    return text.decode(errors="replace").strip()
