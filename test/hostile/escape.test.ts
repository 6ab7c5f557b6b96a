import { readlinkSync } from 'node:fs'
import { expect, test } from 'vitest'
import { describeHostile, expectAllRefused, LANGUAGES, pythonIn, sourceIn } from './harness.ts'

describeHostile('an attempt to escape', (ground) => {
  test.each(LANGUAGES)('in %s makes no namespace and enters none', async (language) => {
    const python = `
flags = dict(user=0x10000000, mount=0x20000, net=0x40000000, pid=0x20000000, ipc=0x8000000, uts=0x4000000, cgroup=0x2000000, time=0x80)
def enter(path):
    told = kernel('setns', os.open(path, os.O_RDONLY), 0)
    if told.startswith('refused'): raise OSError(getattr(errno, told.split()[1]), '')
def cloned(*call):
    told = kernel(*call)
    if told == 'done 0': os._exit(0)
    return told
kinds = ('user', 'mnt', 'net', 'pid', 'ipc', 'uts', 'cgroup')
tries = {'unshare ' + name: in_child(lambda: kernel('unshare', flag)) for name, flag in flags.items()}
tries |= {'both': in_child(lambda: kernel('unshare', 0x10020000)), 'high bits': in_child(lambda: kernel('unshare', 0x10000000 | 1 << 40))}
tries |= {'clone ' + name: in_child(lambda: cloned('clone', flag | 17, 0, 0, 0, 0)) for name, flag in flags.items() if name != 'time'}
tries['clone3'] = in_child(lambda: cloned('clone3', (ctypes.c_uint64 * 11)(0x10000000, 0, 0, 0, 17), 88))
tries |= {'setns %s of %s' % (kind, pid): tried(lambda: enter('/proc/%s/ns/%s' % (pid, kind))) for kind in kinds for pid in ('self', '1')}
tries['pidfd'] = kernel('setns', os.pidfd_open(os.getpid()), 0x20000)
return tries`
    expectAllRefused(await ground().reported(pythonIn(language, python)))
  })

  test.each(LANGUAGES)('in %s mounts nothing and leaves its root not', async (language) => {
    const python = `
AT_FDCWD, OPEN_TREE_CLONE = -100, 1
def path(text): return ctypes.c_char_p(text.encode())
def leave():
    os.makedirs('/tmp/cage', exist_ok=True)
    outside = os.open('/', os.O_RDONLY)
    os.chroot('/tmp/cage'); os.fchdir(outside)
    for _ in range(20): os.chdir('..')
    os.chroot('.')
    return os.listdir('.')
return {
    'tmpfs': kernel('mount', path('none'), path('/tmp'), path('tmpfs'), 0, 0), 'bind': kernel('mount', path('/tmp'), path('/usr'), 0, 4096, 0),
    'remount': kernel('mount', 0, path('/code'), 0, 32 | 4096, 0), 'proc': kernel('mount', path('proc'), path('/tmp'), path('proc'), 0, 0),
    'cgroup': kernel('mount', path('none'), path('/tmp'), path('cgroup2'), 0, 0), 'propagation': kernel('mount', 0, path('/'), 0, 1 << 20, 0),
    'umount': kernel('umount2', path('/code'), 2), 'umount proc': kernel('umount2', path('/proc'), 2), 'umount init': kernel('umount2', path('/proc/1'), 2),
    'pivot': kernel('pivot_root', path('/tmp'), path('/tmp')), 'chroot': in_child(lambda: kernel('chroot', path('/tmp'))), 'leave': in_child(leave),
    'fsopen': kernel('fsopen', path('tmpfs'), 0), 'open_tree': kernel('open_tree', AT_FDCWD, path('/usr'), OPEN_TREE_CLONE),
    'move_mount': kernel('move_mount', AT_FDCWD, path('/tmp'), AT_FDCWD, path('/usr'), 0),
    'setattr': kernel('mount_setattr', AT_FDCWD, path('/usr'), 0, (ctypes.c_uint64 * 4)(0, 1), 32),
    'quota': kernel('quotactl', 0, 0, 0, 0), 'swap': kernel('swapon', path('/tmp/swap'), 0),
}`
    expectAllRefused(await ground().reported(pythonIn(language, python)))
  })

  test.each(LANGUAGES)(
    'in %s reaches none of the parts of the kernel that a function never needs',
    async (language) => {
      const python = `
def path(text): return ctypes.c_char_p(text.encode())
handle = (ctypes.c_uint32 * 4)(8, 1, 2, 0)
return {
    'keyctl': kernel('keyctl', 0, -3, 1), 'add_key': kernel('add_key', path('user'), path('x'), path('y'), 1, -3), 'request_key': kernel('request_key', path('user'), path('x'), 0, 0),
    'bpf': kernel('bpf', 0, (ctypes.c_uint32 * 32)(2, 4, 4, 1), 128), 'program': kernel('bpf', 5, (ctypes.c_uint32 * 32)(1), 128),
    'io_uring': kernel('io_uring_setup', 8, (ctypes.c_uint8 * 120)()), 'perf': kernel('perf_event_open', (ctypes.c_uint32 * 32)(1, 128), 0, -1, -1, 0),
    'userfaultfd': kernel('userfaultfd', 1), 'name_to_handle': kernel('name_to_handle_at', -100, path('/tmp'), (ctypes.c_uint8 * 136)(128), (ctypes.c_int * 1)(), 0),
    'by handle': kernel('open_by_handle_at', 3, handle, 0), 'kexec': kernel('kexec_load', 0, 0, 0, 0), 'module': kernel('init_module', 0, 0, 0), 'module file': kernel('finit_module', 0, path(''), 0),
    'reboot': kernel('reboot', 0xfee1dead, 672274793, 0, 0), 'hostname': kernel('sethostname', path('x'), 1), 'clock': kernel('settimeofday', (ctypes.c_long * 2)(1, 1), 0),
    'adjusting': kernel('adjtimex', (ctypes.c_uint8 * 208)()), 'personality': kernel('personality', 0x0040000), 'places': kernel('get_mempolicy', 0, 0, 0, 0, 0),
    'native aio': kernel('io_setup', 1, (ctypes.c_uint64 * 1)()), 'end of aio': kernel('io_destroy', 0),
    'huge pages': kernel('mmap', 0, 0x200000, 0, 0x44022, -1, 0), 'huge file': kernel('memfd_create', path('x'), 4), 'huge segment': kernel('shmget', 0, 0x200000, 0o5600),
    'accounting': kernel('acct', path('/tmp/acct')), 'kernel log': kernel('syslog', 3, (ctypes.c_uint8 * 100)(), 100), 'capset': kernel('capset', (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)(1 << 21, 1 << 21)),
} | ({'ports': kernel('iopl', 3)} if 'iopl' in NUMBERS else {})`
      expectAllRefused(await ground().reported(pythonIn(language, python)))
    },
  )

  test.each(LANGUAGES)('in %s types nothing into a terminal', async (language) => {
    const python = `
import fcntl, termios
TIOCLINUX = 0x541c
def into(descriptor, request=termios.TIOCSTI): fcntl.ioctl(descriptor, request, b'x')
def high():
    if libc.syscall(ctypes.c_long({'x86_64': 16, 'aarch64': 29}[os.uname().machine]), ctypes.c_long(0), ctypes.c_ulong(termios.TIOCSTI | 1 << 32), b'x') < 0: raise OSError(ctypes.get_errno(), '')
return {'terminal': tried(lambda: into(os.open('/dev/tty', os.O_RDWR))), 'console': tried(lambda: os.open('/dev/console', os.O_RDWR)),
    'asked': {'stdin': tried(lambda: into(0)), 'high bits': tried(high), 'paste': tried(lambda: into(0, TIOCLINUX))}}`
    const { asked, ...opened } = await ground().reported(pythonIn(language, python))
    expectAllRefused(opened)
    // It has no terminal to try it on; what is none says ENOTTY.
    expect(asked).toEqual({ stdin: 'refused EPERM', 'high bits': 'refused EPERM', paste: 'refused EPERM' })
  })

  // Numbers of other architectures exist on this processor alone.
  test.runIf(process.arch === 'x64').each(LANGUAGES)(
    'in %s does not get round the filter by the system calls of other architectures',
    async (language) => {
      const python = `
import mmap, struct
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
def as_i386(number, first, second=0, third=0):
    # push rbx; mov eax/ebx/ecx/edx; int 0x80; pop rbx; ret
    code = b'\\x53\\xb8' + struct.pack('<I', number) + b'\\xbb' + struct.pack('<I', first) + b'\\xb9' + struct.pack('<I', second) + b'\\xba' + struct.pack('<I', third) + b'\\xcd\\x80\\x5b\\xc3'
    page.seek(0); page.write(code)
    value = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
    if value < 0: raise OSError(-value, '')
    return 'done %d' % value
X32 = 0x40000000
return {
    'i386 getpid': in_child(lambda: as_i386(20, 0)), 'i386 unshare': in_child(lambda: as_i386(310, 0x10000000)), 'i386 keyctl': in_child(lambda: as_i386(288, 0, 0xfffffffd, 1)), 'i386 io_uring': in_child(lambda: as_i386(425, 8)),
    'x32 unshare': in_child(lambda: kernel(X32 | NUMBERS['unshare'], 0x10000000)), 'x32 keyctl': in_child(lambda: kernel(X32 | NUMBERS['keyctl'], 0, -3, 1)), 'x32 getpid': in_child(lambda: kernel(X32 | 39)),
}`
      expectAllRefused(await ground().reported(pythonIn(language, python)))
    },
  )

  test.each(LANGUAGES)('in %s loads no filter of its own that lets more pass', async (language) => {
    const python = `
import struct
PR_SET_SECCOMP, PR_GET_SECCOMP = 22, 21
allow = ctypes.create_string_buffer(struct.pack('=HBBI', 6, 0, 0, 0x7fff0000))
class Program(ctypes.Structure): _fields_ = [('length', ctypes.c_ushort), ('filter', ctypes.c_void_p)]
program = Program(1, ctypes.addressof(allow))
def more():
    libc.prctl(PR_SET_SECCOMP, 2, ctypes.byref(program), 0, 0)
    return kernel('unshare', 0x10000000)
return {'more': in_child(more)}`
    expectAllRefused(await ground().reported(pythonIn(language, python)))
  })

  test.each(LANGUAGES)(
    'in %s has the namespaces of no other function and none of the host',
    async (language) => {
      const attack = {
        node: `return Object.fromEntries(fs.readdirSync('/proc/self/ns').map((kind) => [kind, fs.readlinkSync('/proc/self/ns/' + kind)]))`,
        python: `return {kind: os.readlink('/proc/self/ns/' + kind) for kind in os.listdir('/proc/self/ns')}`,
      }
      const source = sourceIn(language, attack)
      const [first, second] = await Promise.all([ground().reported(source), ground().reported(source)])
      // Under root a function has no privileges in the host's user namespace, and can make none where it had some.
      const kinds = [
        'ipc',
        'mnt',
        'net',
        'pid',
        'uts',
        'cgroup',
        ...(ground().serverUid === 0 ? [] : ['user']),
      ]
      const ofHost = kinds.map((kind) => readlinkSync(`/proc/self/ns/${kind}`))
      const shared = kinds.filter((kind, index) => [second[kind], ofHost[index]].includes(first[kind]))
      expect(shared).toEqual([])
      expect(Object.keys(first)).toEqual(expect.arrayContaining(kinds))
    },
  )
})
