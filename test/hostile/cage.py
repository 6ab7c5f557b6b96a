"""For trials in which a guard is taken away: runs a command as a root that owns nothing of the host.

    sudo python3 test/hostile/cage.py vitest run test/hostile/files.test.ts

Its ids 0 to 899 999 are the host's 1 000 000 to 1 899 999, which own no file and no process. Its processes, mounts, names, segments and network
are its own; `/tmp`, `/var/tmp` and `/dev/shm` are empty, and `/usr` is a copy, whose top its root may write to. What a function does to the
host there that no guard keeps it from, the kernel refuses: settings that are not of a namespace, as most of /proc/sys, belong to the real root.
"""

import ctypes
import os
import signal
import subprocess
import sys

FIRST_ID, IDS = 1_000_000, 900_000
# Linux, include/uapi/linux/sched.h
NEWNS, NEWCGROUP, NEWUTS, NEWIPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
NEWUSER, NEWPID, NEWNET = 0x10000000, 0x20000000, 0x40000000
WRITABLE = ("/usr", "/usr/bin", "/usr/lib", "/usr/bin/env")

libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags):
    if libc.unshare(flags) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def run(*command):
    subprocess.run(command, check=True)


def wait_for(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def end_with_parent():
    libc.prctl(1, signal.SIGKILL, 0, 0, 0)


def prepare_places():
    unshare(NEWNS)
    run("mount", "--make-rprivate", "/")
    run("mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/mnt")
    for name in ("/mnt/upper", "/mnt/work"):
        os.mkdir(name)
    run("mount", "-t", "overlay", "-o", "lowerdir=/usr,upperdir=/mnt/upper,workdir=/mnt/work", "overlay", "/usr")
    for path in WRITABLE:
        os.chown(path, FIRST_ID, FIRST_ID)
    for path in ("/tmp", "/var/tmp", "/dev/shm"):
        run("mount", "-t", "tmpfs", "-o", "mode=1777,nosuid,nodev", "tmpfs", path)


def live(command):
    """In the new user namespace, whose ids are there."""
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    # Not before: a change of ids takes it back.
    end_with_parent()
    unshare(NEWNS | NEWPID | NEWUTS | NEWIPC | NEWNET | NEWCGROUP)
    child = os.fork()
    if child != 0:
        # With this one, the first of the pid namespace, everything in the cage ends.
        return wait_for(child)
    end_with_parent()
    run("mount", "-t", "proc", "proc", "/proc")
    run("ip", "link", "set", "lo", "up")
    os.environ["HOME"] = "/tmp"
    inside = os.spawnvp(os.P_WAIT, command[0], command)
    os._exit(inside if inside >= 0 else 1)


def main():
    if os.geteuid() != 0 or len(sys.argv) < 2:
        sys.exit("usage, as root: cage.py COMMAND [ARGUMENT …]")
    prepare_places()
    made_read, made = os.pipe()
    mapped_read, mapped = os.pipe()
    child = os.fork()
    if child == 0:
        unshare(NEWUSER)
        os.write(made, b"1")
        os.read(mapped_read, 1)
        os._exit(live(sys.argv[1:]))
    os.read(made_read, 1)
    for name in ("uid_map", "gid_map"):
        with open("/proc/%d/%s" % (child, name), "w") as file:
            file.write("0 %d %d" % (FIRST_ID, IDS))
    os.write(mapped, b"1")
    sys.exit(wait_for(child))


main()
