import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { probeSandboxes } from '../../../src/sandbox/probe.ts'
import { POLICY } from '../../../src/sandbox/seccomp/policy.ts'
import { numberOf, type SyscallName } from '../../../src/sandbox/seccomp/syscalls.ts'
import { hasPython, NODE, type Ran } from '../harness.ts'
import { USERS } from '../users.ts'

const INSIDE = fileURLToPath(new URL('inside.ts', import.meta.url))
const PYTHON = ['/usr/bin/python3', '-I']
const works = (await probeSandboxes()).some(({ driver, works: does }) => driver === 'bwrap' && does)
const architecture = process.arch === 'arm64' ? 'arm64' : 'x64'

const CASES = USERS.flatMap(([user, asUser]) => [
  [user, 'started', asUser] as const,
  ...(hasPython ? [[user, 'forked', asUser] as const] : []),
])

type Attempt = readonly [name: string, number: number, args: readonly number[]]

/** Refused whatever their arguments are. */
const REFUSED = POLICY.flatMap(({ calls, decision }) =>
  decision === 'EPERM' || decision === 'ENOSYS'
    ? calls.flatMap((call) => attempt(call, []).map((made) => [made, decision] as const))
    : [],
)

const NEW_USER = 0x1000_0000
const CLONE_PARENT = 0x8000
const SIGCHLD = 17
const [INET, INET6, NETLINK, PACKET, VSOCK, ALG] = [2, 10, 16, 17, 40, 38]
const [STREAM, DGRAM, RAW] = [1, 2, 3]
const BY_ARGUMENTS = [
  [attempt('clone', [NEW_USER | SIGCHLD], 'clone into a user namespace'), 'EPERM'],
  [attempt('clone', [CLONE_PARENT | SIGCHLD], 'clone of a sibling'), 'EPERM'],
  [attempt('ioctl', [0, 0x5412, 0], 'ioctl TIOCSTI'), 'EPERM'],
  [attempt('ioctl', [0, 0x541c, 0], 'ioctl TIOCLINUX'), 'EPERM'],
  [attempt('fcntl', [0, 1024, 1], 'fcntl F_SETLEASE'), 'EPERM'],
  [attempt('fcntl', [0, 1026, 1], 'fcntl F_NOTIFY'), 'EPERM'],
  // Without a reserve (0x4000) the kernel gives the addresses also where no such page is free.
  [attempt('mmap', [0, 0x20_0000, 0, 0x4_4022], 'mmap of huge pages'), 'ENOMEM'],
  [attempt('personality', [0x004_0000], 'personality without random addresses'), 'EPERM'],
  [attempt('mknodat', [-100, 0, 0o020666], 'mknodat of a device'), 'EPERM'],
  [attempt('socket', [INET, RAW, 1], 'raw socket'), 'EPERM'],
  [attempt('socket', [INET6, RAW, 58], 'raw socket, IPv6'), 'EPERM'],
  [attempt('socket', [INET, DGRAM, 1], 'ping socket'), 'EPROTONOSUPPORT'],
  [attempt('socket', [INET, STREAM, 262], 'multipath TCP'), 'EPROTONOSUPPORT'],
  [attempt('socket', [NETLINK, RAW, 15], 'netlink of devices'), 'EPROTONOSUPPORT'],
  [attempt('socket', [PACKET, RAW, 0], 'packet socket'), 'EAFNOSUPPORT'],
  [attempt('socket', [VSOCK, STREAM, 0], 'socket to the hypervisor'), 'EAFNOSUPPORT'],
  [attempt('socket', [ALG, 5, 0], 'socket of the crypto API'), 'EAFNOSUPPORT'],
  [attempt('socketpair', [INET, STREAM, 0], 'pair over a network'), 'EAFNOSUPPORT'],
].flatMap(([made, errno]): (readonly [Attempt, string])[] =>
  typeof made === 'string' || made === undefined ? [] : made.map((one) => [one, String(errno)]),
)

/** Nothing, where this architecture does not have the call. */
function attempt(call: SyscallName, args: readonly number[], name: string = call): readonly Attempt[] {
  const number = numberOf(call, architecture)
  return number === undefined ? [] : [[name, number, args]]
}

/** Four arguments each, so that none is left to chance. */
const ATTEMPTS = JSON.stringify(
  [...REFUSED, ...BY_ARGUMENTS].map(([[name, number, [first = 0, second = 0, third = 0, fourth = 0]]]) => [
    name,
    number,
    [first, second, third, fourth],
  ]),
)
const EXPECTED = Object.fromEntries([...REFUSED, ...BY_ARGUMENTS].map(([[name], errno]) => [name, errno]))

/** `mov eax, 20; int 0x80; ret`: asks for the process id by the numbers of 32-bit programs. */
const OTHER_TABLE = `
import ctypes, mmap
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(bytes.fromhex('b814000000cd80c3'))
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
print('came back')`

// The filter is tried in real sandboxes.
describe.runIf(works).each(CASES)('system calls of a function that %s has %s', (_, way, asUser) => {
  async function inside(command: readonly string[]): Promise<Ran & { warning?: string }> {
    const [program = '', ...args] = [...asUser, process.execPath, INSIDE, JSON.stringify(command), way]
    const { stdout } = await promisify(execFile)(program, args, {
      env: { PATH: process.env['PATH'] },
      cwd: '/',
    })
    return JSON.parse(stdout)
  }

  test('are filtered: the probe has nothing to warn of', async () => {
    const { stdout, warning } = await inside(['/bin/grep', 'Seccomp:', '/proc/self/status'])
    expect({ stdout, warning }).toEqual({ stdout: 'Seccomp:\t2\n', warning: undefined })
  })

  // Raw system calls are made through ctypes.
  test.runIf(hasPython)('are refused in Python, each with its error', async () => {
    const { stdout, stderr } = await inside([...PYTHON, '/programs/calls.py', ATTEMPTS])
    expect(stderr).toBe('')
    expect(JSON.parse(stdout)).toEqual(EXPECTED)
  })

  test('are refused in Node.js, each with its error', async () => {
    const flags = ['--experimental-ffi', '--no-warnings']
    const { stdout, stderr } = await inside([NODE, ...flags, '/programs/calls.cjs', ATTEMPTS])
    expect(stderr).toBe('')
    expect(JSON.parse(stdout)).toEqual(EXPECTED)
  })

  // Only this processor knows them.
  test.runIf(hasPython && architecture === 'x64')('by the numbers of 32-bit programs end it', async () => {
    const { stdout, exit } = await inside([...PYTHON, '-c', OTHER_TABLE])
    expect(stdout).toBe('')
    // SIGSEGV where the kernel has no such table at all.
    expect(['SIGSYS', 'SIGSEGV']).toContain(exit.kind === 'signalled' ? exit.signal : exit.kind)
  })

  // Needs a Python on the host.
  test.runIf(hasPython)('leave what programs in Python ordinarily do alone', async () => {
    const { stdout, stderr } = await inside([...PYTHON, '/programs/ordinary.py'])
    expect({ stdout, stderr }).toEqual({ stdout: 'done\n', stderr: '' })
  })

  test('leave what programs in Node.js ordinarily do alone', async () => {
    const { stdout, stderr } = await inside([NODE, '/programs/ordinary.cjs'])
    expect({ stdout, stderr }).toEqual({ stdout: 'done\n', stderr: '' })
  })

  test('leave no way to a user namespace of its own', async () => {
    const { stdout, stderr } = await inside([
      '/usr/bin/unshare',
      '--user',
      '--map-root-user',
      '/bin/echo',
      'in',
    ])
    expect(stdout).toBe('')
    expect(stderr).toContain('Operation not permitted')
  })
})
