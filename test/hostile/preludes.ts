/**
 * What stands before the code of an attack in JavaScript. `tried` makes a report of one attempt: its value, `done`, or
 * `refused` with the code of the error. `answered` makes something the result itself, unread.
 */
export const NODE_PRELUDE = `
const fs = require('node:fs'), net = require('node:net'), os = require('node:os')
const { spawn, spawnSync } = require('node:child_process')
const refusal = (error) => 'refused ' + (error?.code ?? error?.name)
const tried = (act) => { try { return act() ?? 'done' } catch (error) { return refusal(error) } }
const triedLater = async (act) => { try { return (await act()) ?? 'done' } catch (error) { return refusal(error) } }
const triedEach = (names, act) => Object.fromEntries(names.map((name) => [name, tried(() => act(name))]))
const connected = (options) => triedLater(() => new Promise((resolve, reject) => {
  const socket = net.connect(options, () => { socket.destroy(); resolve('connected') })
  socket.once('error', reject)
  socket.setTimeout(3000, () => reject(Object.assign(new Error(), { code: 'ETIMEDOUT' })))
}))
class Answered { constructor(value) { this.value = value } }
const answered = (value) => new Answered(value)
exports.handler = async (text) => {
  const event = JSON.parse(text)
  if (event === 'hello') return { pidNamespace: fs.readlinkSync('/proc/self/ns/pid') }
  const report = await attack(event)
  return report instanceof Answered ? report.value : JSON.stringify(report)
}
async function attack(event) {
`

/**
 * The same in Python, with the kernel's calls by their names, whether or not a library has them. `in_child` makes an attempt in a
 * process of its own, which it may cost the life.
 */
export const PYTHON_PRELUDE = `
import ctypes, errno, json, os, signal, socket, stat, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
NUMBERS = {
    'x86_64': dict(io_setup=206, io_destroy=207, mmap=9, io_uring_setup=425, bpf=321, keyctl=250, add_key=248, request_key=249, perf_event_open=298,
        userfaultfd=323, name_to_handle_at=303, open_by_handle_at=304, ptrace=101, process_vm_readv=310,
        process_vm_writev=311, unshare=272, setns=308, mount=165, umount2=166, pivot_root=155, chroot=161, clone=56,
        clone3=435, kexec_load=246, init_module=175, finit_module=313, swapon=167, reboot=169, sethostname=170,
        settimeofday=164, acct=163, syslog=103, pidfd_open=434, pidfd_getfd=438, kcmp=312, fsopen=430, open_tree=428,
        move_mount=429, mount_setattr=442, iopl=172, quotactl=179, mknodat=259, setuid=105, setresuid=117, capset=126, shmget=29, semget=64, msgget=68, mq_open=240, memfd_create=319, memfd_secret=447, adjtimex=159, personality=135, get_mempolicy=239),
    'aarch64': dict(io_setup=0, io_destroy=1, mmap=222, io_uring_setup=425, bpf=280, keyctl=219, add_key=217, request_key=218, perf_event_open=241,
        userfaultfd=282, name_to_handle_at=264, open_by_handle_at=265, ptrace=117, process_vm_readv=270,
        process_vm_writev=271, unshare=97, setns=268, mount=40, umount2=39, pivot_root=41, chroot=51, clone=220,
        clone3=435, kexec_load=104, init_module=105, finit_module=273, swapon=224, reboot=142, sethostname=161,
        settimeofday=170, acct=89, syslog=116, pidfd_open=434, pidfd_getfd=438, kcmp=272, fsopen=430, open_tree=428,
        move_mount=429, mount_setattr=442, quotactl=60, mknodat=33, setuid=146, setresuid=147, capset=91, shmget=194, semget=190, msgget=186, mq_open=180, memfd_create=279, memfd_secret=447, adjtimex=171, personality=92, get_mempolicy=236),
}[os.uname().machine]
def kernel(name, *args):
    number = NUMBERS[name] if isinstance(name, str) else name
    ctypes.set_errno(0)
    given = [ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args]
    value = libc.syscall(ctypes.c_long(number), *given)
    if value >= 0: return 'done %d' % value
    return 'refused ' + errno.errorcode.get(ctypes.get_errno(), '?')
def tried(act):
    try:
        value = act()
        return 'done' if value is None else value
    except OSError as error: return 'refused ' + errno.errorcode.get(error.errno, '?')
    except Exception as error: return 'refused ' + type(error).__name__
def tried_each(names, act): return {name: tried(lambda: act(name)) for name in names}
def read(path):
    with open(path, 'rb') as file: return file.read().decode('latin-1')
def write(path, text='x'):
    with open(path, 'w') as file: file.write(text)
def connected(host, port):
    def connect():
        socket.create_connection((host, port), 3).close()
        return 'connected'
    return tried(connect)
def in_child(act):
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try: os.write(writer, json.dumps(tried(act)).encode())
        finally: os._exit(0)
    os.close(writer)
    told = b''
    while True:
        piece = os.read(reader, 65536)
        if not piece: break
        told += piece
    os.close(reader)
    status = os.waitpid(pid, 0)[1]
    if told: return json.loads(told)
    return 'refused by signal %d' % os.WTERMSIG(status) if os.WIFSIGNALED(status) else 'said nothing'
def handler(text, context):
    event = json.loads(text)
    if event == 'hello': return {'pidNamespace': os.readlink('/proc/self/ns/pid'), 'isForked': os.getppid() == 0}
    return json.dumps(attack(event))
def attack(event):
`
