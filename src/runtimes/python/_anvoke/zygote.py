"""A process that has loaded what every function needs, and forks one process after another for functions.

It never runs code of a function. See ../../protocol.md, "Zygotes".
"""

import _signal
import _socket
import base64
import gc
import json
import os
import select

from . import frames, isolation, life

_SET_SIZE = 4

_FAILED = 125

# Where distributions have the program that sleeps.
_SLEEPERS = ("/usr/bin/sleep", "/bin/sleep")

# More than it ever has.
_MOST_FDS = 1024


class Zygote:
    def __init__(self):
        self._server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, frames.CHANNEL_FD)
        self._unread = b""
        self._config = None
        self._filter = None
        # Without one there are no children, and whoever wants this zygote learns of it before it has any.
        self._sleeper = next(path for path in _SLEEPERS if os.access(path, os.X_OK))
        # By process id.
        self._firsts = {}
        self._functions = {}

    def serve(self):
        """Returns in each process that it forks, isolated and with its descriptors; itself it ends with the server."""
        life.load_ahead()
        isolation.adopt_orphans()
        gc.disable()
        gc.collect()
        # What is there now is everybody's: looking at it for garbage would copy it to each.
        gc.freeze()
        woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        _signal.set_wakeup_fd(wake)
        _signal.signal(_signal.SIGCHLD, lambda *_: None)
        isolation.learn_of_ends_alone()
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
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self._functions:
                child = self._functions.pop(pid)
                child.status = status
                # With it everything in its namespace ends.
                os.kill(child.first, _signal.SIGKILL)
            elif pid in self._firsts:
                self._end(self._firsts.pop(pid))

    def _end(self, child):
        """The first process has ended, so the function's has as well."""
        if child.status is None:
            _, child.status = os.waitpid(child.function, 0)
            del self._functions[child.function]
        os.close(child.pipe)
        self._tell({"set": child.set, "ended": _exit_code(child.status)})

    def _fork(self, order):
        """True in the new process.

        A process between the two takes the namespaces, so that this one keeps its own, and leaves both to this one: the first of
        the namespaces, which does nothing, and the function's.
        """
        told, tell = os.pipe()
        wait, go = os.pipe()
        between = isolation.fork_barely()
        if between == 0:
            try:
                _signal.set_wakeup_fd(-1)
                _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
                isolation.enter_groups(order["entries"])
                isolation.leave_namespaces(order["ownNetwork"])
                first = isolation.fork_barely()
                if first == 0:
                    # Whose ends must be seen without the end of this one.
                    os.close(go)
                    os.close(tell)
                    _be_first(wait, self._sleeper)
                function = os.fork()
                if function != 0:
                    os.write(tell, b"%d %d\n" % (first, function))
                    os._exit(0)
            except BaseException as error:
                os.write(tell, b"%s\n" % str(error).encode())
                os._exit(_FAILED)
            self._isolate(order)
            return True
        os.close(tell)
        os.close(wait)
        answer = _read_line(told)
        os.close(told)
        os.waitpid(between, 0)
        number = order["set"]
        pids = [int(word) for word in answer.split() if word.isdigit()]
        if len(pids) == 2:
            child = _Child(number, *pids, go)
            self._firsts[child.first] = self._functions[child.function] = child
            self._tell({"set": number, "first": child.first, "function": child.function})
            try:
                # Only now is it a child of this process, whose end is to be its own.
                os.write(go, b"g")
            except BrokenPipeError:
                # It was killed as soon as it was told of.
                pass
        else:
            os.close(go)
            self._tell({"set": number, "refused": answer or "it ended at once"})
        for fd in self._fds(number):
            os.close(fd)
        return False

    def _fds(self, number):
        first = self._config["firstFd"] + number * _SET_SIZE
        return range(first, first + _SET_SIZE)

    def _isolate(self, order):
        """In the function's process."""
        try:
            # Its number becomes the function's channel, which must not be closed with this object.
            self._server.detach()
            for target, fd in enumerate(self._fds(order["set"]), 1):
                os.dup2(fd, target)
            os.closerange(5, _MOST_FDS)
            os.setsid()
            isolation.build_room(order, self._config)
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


class _Child:
    def __init__(self, number, first, function, pipe):
        self.set = number
        # The first process sees by it that this one lives.
        self.pipe = pipe
        self.first = first
        self.function = function
        self.status = None


def _be_first(wait, sleeper):
    """The first process of a pid namespace: with it, everything inside ends, and it ends with the zygote.

    It becomes a program that sleeps, so that nothing of this one is kept for it. Orphans are the kernel's to bury.
    """
    try:
        if os.read(wait, 1) == b"":
            os._exit(0)
        isolation.end_with_parent(wait)
        os.closerange(0, _MOST_FDS)
        isolation.drop_bounding_set()
        isolation.drop_capabilities()
        _signal.signal(_signal.SIGCHLD, _signal.SIG_IGN)
        os.execve(sleeper, [sleeper, "infinity"], {})
    except BaseException:
        os._exit(_FAILED)


def _exit_code(status):
    """Negative: the signal that ended it."""
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _read_line(fd):
    text = b""
    while not text.endswith(b"\n"):
        data = os.read(fd, 4096)
        if not data:
            break
        text += data
    return text.decode(errors="replace").strip()
