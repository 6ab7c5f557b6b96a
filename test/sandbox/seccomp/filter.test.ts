import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { INSTRUCTION_BYTES } from '../../../src/sandbox/seccomp/bpf.ts'
import { ALLOW, FAIL_WITH, KILL_PROCESS, seccompFilter } from '../../../src/sandbox/seccomp/filter.ts'
import {
  ERRNO,
  POLICY,
  UNCOUNTED_MEMORY,
  type Decision,
  type Verdict,
} from '../../../src/sandbox/seccomp/policy.ts'
import {
  AUDIT_ARCHITECTURE,
  LAST_KNOWN,
  numberOf,
  type Architecture,
  type SyscallName,
} from '../../../src/sandbox/seccomp/syscalls.ts'
import { runFilter } from './interpreter.ts'

const ARCHITECTURES = ['x64', 'arm64'] as const

/** Refused whatever the arguments are: what the README promises, written down once more so that no rule is lost unnoticed. */
const NEVER: Readonly<Record<Exclude<Verdict, 'allow'>, readonly SyscallName[]>> = {
  EPERM:
    words(`unshare setns mount umount2 pivot_root chroot move_mount open_tree open_tree_attr fsopen fsconfig fsmount
    fspick mount_setattr ptrace process_vm_readv process_vm_writev process_madvise kcmp pidfd_getfd bpf io_uring_setup
    io_uring_enter io_uring_register keyctl add_key request_key perf_event_open userfaultfd fanotify_init fanotify_mark
    name_to_handle_at open_by_handle_at init_module finit_module delete_module kexec_load kexec_file_load reboot swapon swapoff
    acct quotactl quotactl_fd syslog settimeofday clock_settime adjtimex clock_adjtime sethostname setdomainname iopl ioperm
    modify_ldt vmsplice get_mempolicy set_mempolicy set_mempolicy_home_node mbind move_pages migrate_pages vhangup`),
  ENOSYS:
    words(`clone3 lookup_dcookie nfsservctl uselib ustat sysfs io_setup io_destroy io_getevents io_pgetevents io_submit
    io_cancel`),
  ENOMEM: [],
  EPROTONOSUPPORT: [],
  EAFNOSUPPORT: [],
}

const SIGCHLD = 17n
const [UNIX, INET, INET6, NETLINK, ALG, PACKET, VSOCK] = [1n, 2n, 10n, 16n, 38n, 17n, 40n]
const [STREAM, DGRAM, RAW, SEQPACKET, SOCK_PACKET] = [1n, 2n, 3n, 5n, 10n]
const SOCK_FLAGS = 0o2004000n
const HIGH = 0xffff_ffff_0000_0000n

/** Decided by the arguments. Upper halves are not looked at: the kernel ignores them, too. */
const BY_ARGUMENTS: readonly (readonly [SyscallName, readonly bigint[], Verdict])[] = [
  ['clone', [SIGCHLD], 'allow'],
  ['clone', [0x3d0f00n], 'allow'],
  ['clone', [0x0120_0011n], 'allow'],
  ...[
    0x8000n,
    0x2_0000n,
    0x200_0000n,
    0x400_0000n,
    0x800_0000n,
    0x1000_0000n,
    0x2000_0000n,
    0x4000_0000n,
  ].flatMap((flag): [SyscallName, bigint[], Verdict][] => [
    ['clone', [flag | SIGCHLD], 'EPERM'],
    ['clone', [HIGH | 0x3d0f00n | flag], 'EPERM'],
  ]),
  ['personality', [0n], 'allow'],
  ['personality', [0xffff_ffffn], 'allow'],
  ['personality', [0x004_0000n], 'EPERM'],
  ['personality', [8n], 'EPERM'],
  ['ioctl', [0n, 0x5401n], 'allow'],
  ['ioctl', [0x5412n, 0x5413n], 'allow'],
  ['ioctl', [0n, 0x5412n], 'EPERM'],
  ['ioctl', [0n, 0x541cn], 'EPERM'],
  ['ioctl', [0n, HIGH | 0x5412n], 'EPERM'],
  // F_DUPFD, F_SETFL, F_GETLEASE, F_DUPFD_CLOEXEC, F_SETPIPE_SZ; F_SETLEASE, F_NOTIFY, F_SETDELEG.
  ...[0n, 4n, 1025n, 1030n, 1031n].map((command): [SyscallName, bigint[], Verdict] => [
    'fcntl',
    [1024n, command, 1024n],
    'allow',
  ]),
  ...[1024n, 1026n, 1040n].flatMap((command): [SyscallName, bigint[], Verdict][] => [
    ['fcntl', [3n, command], 'EPERM'],
    ['fcntl', [3n, HIGH | command, 1n], 'EPERM'],
  ]),
  ['mmap', [0n, 4096n, 3n, 0x22n], 'allow'],
  ['mmap', [0x4_0000n, 0x4_0000n, 0x4_0000n, 0x2n, 0x4_0000n, 0x4_0000n], 'allow'],
  ['mmap', [0n, 4096n, 3n, 0x4_0022n], 'ENOMEM'],
  ['mmap', [0n, 4096n, 3n, HIGH | (21n << 26n) | 0x4_4022n], 'ENOMEM'],
  ['memfd_create', [4n, 3n], 'allow'],
  ['memfd_create', [0n, 4n], 'ENOMEM'],
  ['memfd_create', [0n, (21n << 26n) | 7n], 'ENOMEM'],
  ['shmget', [0o4000n, 0o4000n, 0o1666n], 'allow'],
  ['shmget', [0n, 4096n, 0o5666n], 'ENOMEM'],
  ['mknod', [0n, 0o100644n], 'allow'],
  ['mknod', [0n, 0o010644n], 'allow'],
  ['mknod', [0n, 0o020666n], 'EPERM'],
  ['mknod', [0n, 0o060600n], 'EPERM'],
  ['mknodat', [0o020666n, 0n, 0o140644n], 'allow'],
  ['mknodat', [0n, 0n, 0o020666n], 'EPERM'],
  ['mknodat', [0n, 0n, 0o060600n], 'EPERM'],
  ['socketpair', [UNIX, STREAM], 'allow'],
  ['socketpair', [INET, STREAM], 'EAFNOSUPPORT'],
  ...[STREAM, DGRAM, SEQPACKET, STREAM | SOCK_FLAGS].map((type): [SyscallName, bigint[], Verdict] => [
    'socket',
    [UNIX, type],
    'allow',
  ]),
  ...[INET, INET6].flatMap((family): [SyscallName, bigint[], Verdict][] => [
    ['socket', [family, STREAM], 'allow'],
    ['socket', [family, STREAM | SOCK_FLAGS, 6n], 'allow'],
    ['socket', [family, DGRAM | SOCK_FLAGS, 17n], 'allow'],
    ['socket', [family, RAW, 1n], 'EPERM'],
    ['socket', [family, RAW | SOCK_FLAGS, 255n], 'EPERM'],
    ['socket', [HIGH | family, HIGH | RAW, 1n], 'EPERM'],
    ['socket', [family, SOCK_PACKET, 3n], 'EPERM'],
    ['socket', [family, SEQPACKET, 132n], 'EPERM'],
    ['socket', [family, STREAM, 132n], 'EPROTONOSUPPORT'],
    ['socket', [family, STREAM, 262n], 'EPROTONOSUPPORT'],
    ['socket', [family, DGRAM, 1n], 'EPROTONOSUPPORT'],
  ]),
  ['socket', [NETLINK, RAW, 0n], 'allow'],
  ['socket', [NETLINK, RAW | SOCK_FLAGS, 0n], 'allow'],
  ['socket', [NETLINK, RAW, 12n], 'EPROTONOSUPPORT'],
  ...[ALG, PACKET, VSOCK, 0n, 3n, 4n, 15n, 21n, 30n, 44n].map((family): [SyscallName, bigint[], Verdict] => [
    'socket',
    [family, STREAM],
    'EAFNOSUPPORT',
  ]),
]

function words(text: string): SyscallName[] {
  const names = new Set<string>(POLICY.flatMap(({ calls }) => calls))
  const isKnown = (name: string): name is SyscallName => names.has(name)
  return text.split(/\s+/).map((name) => {
    if (!isKnown(name)) throw new Error(`no rule names ${name}`)
    return name
  })
}

const answerOf = (verdict: Verdict): number => (verdict === 'allow' ? ALLOW : FAIL_WITH + ERRNO[verdict])

describe.each(ARCHITECTURES)('the filter for %s', (name) => {
  const program = seccompFilter(name) ?? Buffer.alloc(0)
  const architecture = AUDIT_ARCHITECTURE[name]
  const answer = (number: number, args: readonly bigint[] = []): number =>
    runFilter(program, { number, architecture, arguments: args }).answer

  test('answers what its policy says for every number, and newer ones do not exist', () => {
    const decisions = new Map<number | undefined, Decision>(
      POLICY.flatMap(({ calls, decision }) => calls.map((call) => [numberOf(call, name), decision] as const)),
    )
    const wrong: number[] = []
    for (let number = 0; number <= 2000; number += 1) {
      const decision = decisions.get(number) ?? (number > LAST_KNOWN ? 'ENOSYS' : 'allow')
      if (typeof decision === 'string' && answer(number) !== answerOf(decision)) wrong.push(number)
    }
    expect(wrong).toEqual([])
    const enosys = answerOf('ENOSYS')
    expect([0x4000_0000, 0x4000_0001, 0x4000_0029, 0x7fff_ffff, 0xffff_ffff].map((n) => answer(n))).toEqual(
      Array.from({ length: 5 }, () => enosys),
    )
  })

  test.each(Object.keys(ERRNO) as (keyof typeof ERRNO)[])(
    'refuses what must never pass, with %s',
    (errno) => {
      const wrong = NEVER[errno].filter((call) => {
        const number = numberOf(call, name)
        return number !== undefined && answer(number) !== answerOf(errno)
      })
      expect(wrong).toEqual([])
    },
  )

  const rulings = BY_ARGUMENTS.filter(([call]) => numberOf(call, name) !== undefined).map(
    ([call, args, verdict]) =>
      [`${call}(${args.map((value) => `0x${value.toString(16)}`).join(', ')})`, verdict, call, args] as const,
  )
  test.each(rulings)('reads the arguments of %s: %s', (_, verdict, call, args) => {
    expect(answer(numberOf(call, name) ?? -1, args)).toBe(answerOf(verdict))
  })

  test('kills programs that call by another table of numbers', () => {
    const others = [0x4000_0003, 0x4000_0028, ...Object.values(AUDIT_ARCHITECTURE)].filter(
      (other) => other !== architecture,
    )
    for (const other of others)
      for (const number of [0, 1, 11, 63, 120, 500])
        expect(runFilter(program, { number, architecture: other }).answer).toBe(KILL_PROCESS)
  })

  test('decides about every other call by its number alone, in few instructions', () => {
    const named = new Set(POLICY.flatMap(({ calls }) => calls.map((call) => numberOf(call, name))))
    for (let number = 0; number <= LAST_KNOWN; number += 1) {
      if (named.has(number)) continue
      const { answer: given, steps, readArguments } = runFilter(program, { number, architecture })
      expect({ number, given, readArguments }).toEqual({ number, given: ALLOW, readArguments: false })
      expect(steps).toBeLessThanOrEqual(11)
    }
  })

  test('refuses memory of no process where nothing counts it, and there alone', () => {
    const strict = seccompFilter(name, { memoryIsCounted: false }) ?? Buffer.alloc(0)
    const numbers = UNCOUNTED_MEMORY.calls.flatMap((call) => numberOf(call, name) ?? [])
    expect(UNCOUNTED_MEMORY.calls).toEqual(['memfd_create', 'memfd_secret', 'shmget', 'semget', 'msgget'])
    const differing: number[] = []
    for (let number = 0; number <= 2000; number += 1) {
      const told = runFilter(strict, { number, architecture, arguments: [] }).answer
      if (told === answer(number)) continue
      differing.push(number)
      expect([answer(number), told]).toEqual([ALLOW, answerOf('ENOSYS')])
      // Whatever is asked of what else is said of them.
      const all = Array.from({ length: 6 }, () => 0xffff_ffffn)
      expect(runFilter(strict, { number, architecture, arguments: all }).answer).toBe(answerOf('ENOSYS'))
    }
    expect(differing).toEqual(numbers.sort((a, b) => a - b))
  })

  test('is a program that the kernel would take', () => {
    expect(program.length).toBeGreaterThan(0)
    expect(program.length % INSTRUCTION_BYTES).toBe(0)
  })
})

test('there is no filter for a processor without a table', () => {
  expect(seccompFilter('riscv64')).toBeUndefined()
})

const HEADERS: Readonly<Record<Architecture, string>> = {
  x64: '/usr/include/x86_64-linux-gnu/asm/unistd_64.h',
  arm64: '/usr/include/asm-generic/unistd.h',
}

test.each(ARCHITECTURES.filter((name) => existsSync(HEADERS[name])))(
  'the numbers for %s are those of the kernel’s headers',
  (name) => {
    const header = readFileSync(HEADERS[name], 'utf8')
    const defined = new Map(
      [...header.matchAll(/^#define __NR_(\w+)\s+(\d+)/gm)].map(([, call, number]) => [call, Number(number)]),
    )
    const compared = POLICY.flatMap(({ calls }) => calls).filter((call) => defined.has(call))
    expect(compared.length).toBeGreaterThan(60)
    expect(compared.map((call) => [call, numberOf(call, name)])).toEqual(
      compared.map((call) => [call, defined.get(call)]),
    )
  },
)
