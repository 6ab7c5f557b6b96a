"""From a forked process of a zygote to one that is apart from everything else; what bwrap does for other processes.

Everything here happens before the function's code is known to the process. Each step either succeeds or raises OSError,
which ends the process: none is optional.
"""

import _socket
import ctypes
import errno
import fcntl
import os
import resource
import struct

_LIBC = ctypes.CDLL(None, use_errno=True)
# Holds the interpreter's lock during the call, so that a forked process has it as well.
_fork = ctypes.PyDLL(None).fork

# Linux, include/uapi/linux/sched.h
_CLONE_NEWNS = 0x00020000
_CLONE_NEWCGROUP = 0x02000000
_CLONE_NEWUTS = 0x04000000
_CLONE_NEWIPC = 0x08000000
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWPID = 0x20000000
_CLONE_NEWNET = 0x40000000

# Linux, include/uapi/linux/mount.h
_MS_RDONLY = 1
_MS_NOSUID = 2
_MS_NODEV = 4
_MS_NOEXEC = 8
_MS_REMOUNT = 32
_MS_BIND = 4096
_MS_REC = 16384
_MS_PRIVATE = 1 << 18
_MNT_DETACH = 2

# Linux, include/uapi/linux/prctl.h
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_SECCOMP = 22
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_SECCOMP_MODE_FILTER = 2
# Version 3, this process; include/uapi/linux/capability.h
_CAPABILITY_HEADER = struct.pack("=Ii", 0x20080522, 0)
_NO_CAPABILITIES = bytes(24)
_SIGKILL = 9
_SIGCHLD = 17

# Linux, include/uapi/asm-generic/signal-defs.h
_SA_NOCLDSTOP = 1

_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1

# Parts of /proc that change the host; bwrap makes the same ones read-only.
_PROC_READ_ONLY = ("sys", "sysrq-trigger", "irq", "bus")


class _SignalAction(ctypes.Structure):
    # Of the C library, on every processor that a filter is known for.
    _fields_ = [
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_ubyte * 128),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    ]


def adopt_orphans():
    """Processes whose parent ends become children of this one."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def learn_of_ends_alone():
    """SIGCHLD, whose handler is set, tells that a child has ended and no more that it was stopped or goes on.

    A function could otherwise keep this process busy, whose processor time is nobody's.
    """
    action = _SignalAction()
    _check(_LIBC.sigaction(_SIGCHLD, None, ctypes.byref(action)), "sigaction")
    action.flags |= _SA_NOCLDSTOP
    _check(_LIBC.sigaction(_SIGCHLD, ctypes.byref(action), None), "sigaction")


def fork_barely():
    """A fork without what the interpreter does after one. Only for a process that soon forks in the usual way, or ends.

    It leaves alone what is in memory, so that this stays shared.
    """
    pid = _fork()
    if pid < 0:
        raise OSError("fork failed")
    return pid


def enter_groups(entries):
    """Moves this process, which must have one thread, to the cgroups with these open files."""
    for entry in entries:
        os.write(entry, b"0")


def leave_namespaces(own_network):
    """New namespaces of every kind but users and cgroups: of processes, for the next child."""
    flags = _CLONE_NEWNS | _CLONE_NEWPID | _CLONE_NEWIPC | _CLONE_NEWUTS
    if own_network:
        flags |= _CLONE_NEWNET
    _check(_LIBC.unshare(flags), "unshare")


def hide_groups():
    """Lets the process see no group above its own."""
    if _LIBC.unshare(_CLONE_NEWCGROUP) != 0 and ctypes.get_errno() != errno.EINVAL:
        _check(-1, "unshare")
    # EINVAL: a kernel without cgroups has no such namespace, and nothing to hide.


def end_with_parent(alive):
    """This process is sent SIGKILL when its parent ends. It ends now where nobody holds the other end of the pipe `alive`."""
    _prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    os.set_blocking(alive, False)
    try:
        # Nobody writes: it is at its end, or there is nothing to read.
        os.read(alive, 1)
        os._exit(0)
    except BlockingIOError:
        pass


def build_room(order, config):
    """What the process sees: files, devices, processes, its name and its loopback."""
    if order["ownNetwork"]:
        _raise_loopback()
    _socket.sethostname(config["hostName"])
    _mount(None, "/", None, _MS_PRIVATE | _MS_REC)
    for source, target in order["mounts"]:
        # From a place that is mounted read-only, so this is, too.
        _mount(source, target, None, _MS_BIND)
    _mount("tmpfs", "/tmp", "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=1777,size=%d" % order["tmpBytes"])
    shared_memory = "mode=1777,size=%d" % config["sharedMemoryBytes"]
    _mount("tmpfs", "/dev/shm", "tmpfs", _MS_NOSUID | _MS_NODEV, shared_memory)
    # Over the terminals: those of the host are few, and one could take them all.
    closed = _MS_RDONLY | _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    _mount("tmpfs", "/dev/pts", "tmpfs", closed, "mode=0555,size=4k")
    for name in os.listdir(config["hidden"]):
        path = os.path.join(config["hidden"], name)
        _check(_LIBC.umount2(path.encode(), _MNT_DETACH), "umount " + path)
    _mount("proc", "/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    for name in _PROC_READ_ONLY:
        path = "/proc/" + name
        if os.path.exists(path):
            _mount(path, path, None, _MS_BIND | _MS_REC)
            flags = _MS_BIND | _MS_REMOUNT | _MS_RDONLY | _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
            _mount(None, path, None, flags)
    if config["ownUserNamespace"]:
        # Outside, the first process has the function's user id.
        _mount("tmpfs", "/proc/1", "tmpfs", closed, "mode=0555,size=4k")


def limit_resources(limits):
    """What needs no cgroup: core dumps, priorities, files, waiting signals, message queues, locked memory, processes."""
    for kind in (resource.RLIMIT_CORE, resource.RLIMIT_RTPRIO, resource.RLIMIT_NICE):
        resource.setrlimit(kind, (0, 0))
    for kind, name in (
        (resource.RLIMIT_FSIZE, "fileBytes"),
        (resource.RLIMIT_NOFILE, "openFiles"),
        (resource.RLIMIT_SIGPENDING, "pendingSignals"),
        (resource.RLIMIT_MSGQUEUE, "queueBytes"),
        (resource.RLIMIT_MEMLOCK, "lockedBytes"),
    ):
        resource.setrlimit(kind, (limits[name], limits[name]))
    if limits["tasks"] is not None:
        resource.setrlimit(resource.RLIMIT_NPROC, (limits["tasks"], limits["tasks"]))


def take_user_id(uid):
    """For root: this is from now on the function's process, as the host sees it as well."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def enter_user_namespace(uid):
    """For an ordinary user, who has no other id to give: the function's is one inside a namespace of its own."""
    outside_uid, outside_gid = os.geteuid(), os.getegid()
    _check(_LIBC.unshare(_CLONE_NEWUSER), "unshare")
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", "%d %d 1" % (uid, outside_uid))
    _write("/proc/self/gid_map", "%d %d 1" % (uid, outside_gid))


def drop_bounding_set():
    """What no program that is executed later can get."""
    for capability in range(64):
        if _LIBC.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            # Behind the last one that the kernel knows.
            if capability > 0 and ctypes.get_errno() == errno.EINVAL:
                return
            raise OSError("the bounding set cannot be emptied")


def drop_capabilities():
    """No capability, now or ever."""
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    _check(_LIBC.capset(_CAPABILITY_HEADER, _NO_CAPABILITIES), "capset")
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def show_own_proc():
    """Gives the process its own files in /proc back, which a change of ids takes away; what `exec` does."""
    _prctl(_PR_SET_DUMPABLE, 1)


def filter_calls(program):
    """Puts a filter of system calls in force, for ever. `program` is its instructions, or None."""
    if program is None:
        return
    instructions = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(instructions))
    _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.c_char_p(header))


def _raise_loopback():
    control = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
    request = fcntl.ioctl(control.fileno(), _SIOCGIFFLAGS, struct.pack("16sH22x", b"lo", 0))
    (flags,) = struct.unpack_from("H", request, 16)
    fcntl.ioctl(control.fileno(), _SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", flags | _IFF_UP))
    control.close()


def _mount(source, target, kind, flags, data=None):
    texts = [None if text is None else text.encode() for text in (source, target, kind, data)]
    _check(_LIBC.mount(texts[0], texts[1], texts[2], ctypes.c_ulong(flags), texts[3]), "mount " + target)


def _prctl(option, value, third=0):
    _check(_LIBC.prctl(option, ctypes.c_ulong(value), third, 0, 0), "prctl %d" % option)


def _write(path, text):
    with open(path, "w") as file:
        file.write(text)


def _check(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, "%s: %s" % (what, os.strerror(number)))
