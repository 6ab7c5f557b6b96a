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

# Room for orders that wait.
_MOST_BYTES = 32768

# More than it ever has.
_MOST_FDS = 1024


class Zygote:
    def __init__(self):
        self._server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, frames.CHANNEL_FD)
        self._buffer = bytearray(_MOST_BYTES)
        self._filled = 0
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
                self._receive()
                while (line := self._next_line()) is not None:
                    if self._config is None:
                        self._configure(json.loads(line))
                    elif self._fork(line):
                        return
                    _wipe(line)

    def _configure(self, config):
        self._config = config
        self._filter = None if config["filter"] is None else base64.b64decode(config["filter"])

    def _receive(self):
        count = self._server.recv_into(memoryview(self._buffer)[self._filled :])
        if count == 0:
            # The server is gone, or sends more than any order.
            os._exit(0)
        self._filled += count

    def _next_line(self):
        """A line that has arrived, or None. Nothing else of it stays in memory, where later children could read it."""
        end = self._buffer.find(b"\n", 0, self._filled)
        if end < 0:
            return None
        view = memoryview(self._buffer)
        line = bytearray(view[:end])
        rest = self._filled - end - 1
        view[:rest] = view[end + 1 : self._filled]
        view[rest : self._filled] = bytes(self._filled - rest)
        self._filled = rest
        return line

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

    def _fork(self, line):
        """True in the new process. `line` is the number of its set, a blank and its order."""
        number = int(line[: line.index(b" ")])
        if line.endswith(b" null"):
            # There will be no order for this set.
            self._close_set(number)
            return False
        pipes = []
        try:
            pipes += os.pipe()
            pipes += os.pipe()
            between = isolation.fork_barely()
        except OSError as error:
            # The host has no more descriptors or processes to give now. The children that are there go on.
            for fd in pipes:
                os.close(fd)
            self._refuse(number, str(error))
            return False
        told, tell, wait, go = pipes
        if between == 0:
            self._divide(line, number, tell, wait, go)
            return True
        os.close(tell)
        os.close(wait)
        # All that it says is one write of one line.
        readable, _, _ = select.select([told], [], [], self._config["birthTimeoutMs"] / 1000)
        if not readable:
            # It may be stuck where no signal reaches it, so it is not waited for. What it has forked ends with the pipe.
            os.kill(between, _signal.SIGKILL)
            os.close(told)
            os.close(go)
            self._refuse(number, "it was not forked within %d ms" % self._config["birthTimeoutMs"])
            return False
        answer = os.read(told, 4096).decode(errors="replace").strip()
        os.close(told)
        os.waitpid(between, 0)
        numbers = [int(word) for word in answer.split() if word.isdigit()]
        if len(numbers) != 4:
            os.close(go)
            self._refuse(number, answer or "it ended at once")
            return False
        first, first_start, function, function_start = numbers
        child = _Child(number, first, function, go)
        self._firsts[first] = self._functions[function] = child
        self._tell(
            {
                "set": number,
                "first": first,
                "firstStart": first_start,
                "function": function,
                "functionStart": function_start,
            }
        )
        try:
            # Only now is it a child of this process, whose end is to be its own.
            os.write(go, b"g")
        except BrokenPipeError:
            # It was killed as soon as it was told of.
            pass
        self._close_set(number)
        return False

    def _divide(self, line, number, tell, wait, go):
        """Returns in the function's process, isolated.

        The process in which this begins takes the namespaces, so that the zygote keeps its own. It leaves both to the zygote: the
        first of the namespaces, which does nothing, and the function's. In their groups are only these two: it is waited for, and a
        group may have few processors.
        """
        try:
            _signal.set_wakeup_fd(-1)
            _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
            for child in self._firsts.values():
                # Theirs are to see the end of the zygote alone.
                os.close(child.pipe)
            order = json.loads(line[line.index(b" ") :])
            entries = [os.open(path, os.O_WRONLY) for path in order["entries"]]
            # Held open: the function's process soon changes what is seen at this path.
            proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
            isolation.leave_namespaces(order["ownNetwork"])
            first = isolation.fork_barely()
            if first == 0:
                # Whose ends must be seen without the end of this one.
                os.close(go)
                os.close(tell)
                _be_first(wait, entries, self._sleeper)
            first_start = _start_of(first, proc)
            function = os.fork()
            if function != 0:
                os.write(tell, b"%d %d %d %d\n" % (first, first_start, function, _start_of(function, proc)))
                os._exit(0)
        except BaseException as error:
            os.write(tell, b"%s\n" % str(error).encode())
            os._exit(_FAILED)
        self._isolate(order, number, entries)

    def _refuse(self, number, reason):
        self._tell({"set": number, "refused": reason})
        self._close_set(number)

    def _close_set(self, number):
        for fd in self._fds(number):
            os.close(fd)

    def _fds(self, number):
        first = self._config["firstFd"] + number * _SET_SIZE
        return range(first, first + _SET_SIZE)

    def _isolate(self, order, number, entries):
        """In the function's process."""
        try:
            isolation.enter_groups(entries)
            isolation.hide_groups()
            # Orders for others may wait there.
            _wipe(self._buffer)
            # Its number becomes the function's channel, which must not be closed with this object.
            self._server.detach()
            for target, fd in enumerate(self._fds(number), 1):
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


def _be_first(wait, entries, sleeper):
    """The first process of a pid namespace: with it, everything inside ends, and it ends with the zygote.

    It becomes a program that sleeps, so that nothing of this one is kept for it. Orphans are the kernel's to bury.
    """
    try:
        isolation.enter_groups(entries)
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


def _start_of(child, proc):
    """When it started, clock ticks after boot (proc(5), field 22). Only for a child of this process: its number is kept for it."""
    stat = os.open("%d/stat" % child, os.O_RDONLY, dir_fd=proc)
    try:
        return int(os.read(stat, 4096).rpartition(b")")[2].split()[19])
    finally:
        os.close(stat)


def _wipe(line):
    line[:] = bytes(len(line))


def _exit_code(status):
    """Negative: the signal that ended it."""
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
