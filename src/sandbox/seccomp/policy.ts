import type { SyscallName } from './syscalls.ts'

/** Errors that a refused call ends with. Source of the numbers: uapi/asm-generic/errno.h. */
export const ERRNO = { EPERM: 1, ENOMEM: 12, ENOSYS: 38, EPROTONOSUPPORT: 93, EAFNOSUPPORT: 97 } as const

export type Verdict = 'allow' | keyof typeof ERRNO

/**
 * Asks for one argument of the call, counted from 0. Compared are the lower 32 bits, all that the kernel uses of the arguments
 * that are named here: `int`, `unsigned int`, `mode_t`, and of the `unsigned long` of `mmap` flags that lie in its lower half.
 */
export interface ArgumentTest {
  readonly argument: number
  /** Bits that are compared; default all 32. */
  readonly mask?: number
  readonly cases: readonly { readonly values: readonly number[]; readonly decision: Decision }[]
  readonly otherwise: Decision
}

export type Decision = Verdict | ArgumentTest

/** What is decided about some calls, and why. */
export interface Rule {
  readonly why: string
  readonly calls: readonly SyscallName[]
  readonly decision: Decision
}

/** `CLONE_PARENT`, and every `CLONE_NEW…` that fits into the flags of `clone`. Source: uapi/linux/sched.h. */
const REFUSED_CLONE_FLAGS = 0x7e02_8000

/** Source: uapi/asm-generic/ioctls.h. */
const TIOCSTI = 0x5412
const TIOCLINUX = 0x541c

/** Source: uapi/linux/fcntl.h; the last one is Linux 6.19's. */
const F_SETLEASE = 1024
const F_NOTIFY = 1026
const F_SETDELEG = 1040

/** Source: uapi/asm-generic/mman-common.h, uapi/linux/memfd.h and uapi/linux/shm.h. */
const MAP_HUGETLB = 0x4_0000
const MFD_HUGETLB = 4
const SHM_HUGETLB = 0o4000

/** Source: uapi/linux/stat.h. */
const S_IFMT = 0o170000
const S_IFCHR = 0o020000
const S_IFBLK = 0o060000

/** Source: linux/socket.h, linux/net.h (`SOCK_TYPE_MASK`: without close-on-exec and non-blocking) and uapi/linux/in.h. */
const AF_UNIX = 1
const AF_INET = 2
const AF_INET6 = 10
const AF_NETLINK = 16
const SOCK_TYPE_MASK = 0xf
const SOCK_STREAM = 1
const SOCK_DGRAM = 2
const IPPROTO_TCP = 6
const IPPROTO_UDP = 17
const NETLINK_ROUTE = 0

/** @returns A test that allows these values and ends with the verdict for others. */
function onlyValues(argument: number, values: readonly number[], otherwise: Verdict): ArgumentTest {
  return { argument, cases: [{ values, decision: 'allow' }], otherwise }
}

/** What a caller is told on a host that has set no such pages aside, as most have not: it takes ordinary ones then. */
const noHugePages = (flagsArgument: number, flag: number): ArgumentTest => ({
  argument: flagsArgument,
  mask: flag,
  cases: [{ values: [flag], decision: 'ENOMEM' }],
  otherwise: 'allow',
})

const noDevices = (modeArgument: number): ArgumentTest => ({
  argument: modeArgument,
  mask: S_IFMT,
  cases: [{ values: [S_IFCHR, S_IFBLK], decision: 'EPERM' }],
  otherwise: 'allow',
})

/**
 * What functions may not ask of the kernel. Calls that no rule names are allowed, up to the last one that was known when this
 * was written; newer ones do not exist for functions (ENOSYS) until somebody has judged them.
 */
export const POLICY: readonly Rule[] = [
  {
    why: 'New namespaces would give a function capabilities over a part of the kernel that only root reaches otherwise.',
    calls: ['unshare', 'setns'],
    decision: 'EPERM',
  },
  {
    why:
      'The same by clone, whose flags can be read, and children of the parent: of a zygote, that is, where nobody counts their memory. ' +
      'Threads and processes are made without those flags.',
    calls: ['clone'],
    decision: {
      argument: 0,
      mask: REFUSED_CLONE_FLAGS,
      cases: [{ values: [0], decision: 'allow' }],
      otherwise: 'EPERM',
    },
  },
  {
    why: 'The flags of clone3 lie in memory, where no filter can read them. C libraries use clone when it does not exist.',
    calls: ['clone3'],
    decision: 'ENOSYS',
  },
  {
    why: 'The view of the file system is made before the start.',
    calls: [
      'mount',
      'umount2',
      'pivot_root',
      'chroot',
      'move_mount',
      'open_tree',
      'open_tree_attr',
      'fsopen',
      'fsconfig',
      'fsmount',
      'fspick',
      'mount_setattr',
    ],
    decision: 'EPERM',
  },
  {
    why: 'One process inside another: only debuggers need it, and it has been a way around other guards.',
    calls: [
      'ptrace',
      'process_vm_readv',
      'process_vm_writev',
      'process_madvise',
      'kcmp',
      'pidfd_getfd',
      'perf_event_open',
    ],
    decision: 'EPERM',
  },
  {
    why:
      'Large parts of the kernel with a long record of flaws; io_uring also opens and connects without the calls ' +
      'that are filtered here. Runtimes fall back when they are refused.',
    calls: [
      'bpf',
      'io_uring_setup',
      'io_uring_enter',
      'io_uring_register',
      'userfaultfd',
      'vmsplice',
      'fanotify_init',
      'fanotify_mark',
    ],
    decision: 'EPERM',
  },
  {
    why: 'Keyrings belong to the user id, so the instances of a function would share them.',
    calls: ['keyctl', 'add_key', 'request_key'],
    decision: 'EPERM',
  },
  {
    why: 'Files by number instead of by path pass by what is mounted.',
    calls: ['name_to_handle_at', 'open_by_handle_at'],
    decision: 'EPERM',
  },
  {
    why: 'The host as a whole: its modules, kernel, disks, log, clock and name.',
    calls: [
      'init_module',
      'finit_module',
      'delete_module',
      'kexec_load',
      'kexec_file_load',
      'reboot',
      'swapon',
      'swapoff',
      'acct',
      'quotactl',
      'quotactl_fd',
      'syslog',
      'settimeofday',
      'clock_settime',
      'adjtimex',
      'clock_adjtime',
      'sethostname',
      'setdomainname',
      'vhangup',
      'iopl',
      'ioperm',
      'modify_ldt',
    ],
    decision: 'EPERM',
  },
  {
    why:
      'Where memory lies. libnuma takes the refusal of get_mempolicy for a host without NUMA and then ' +
      'asks for none of the others.',
    calls: [
      'get_mempolicy',
      'set_mempolicy',
      'set_mempolicy_home_node',
      'mbind',
      'move_pages',
      'migrate_pages',
    ],
    decision: 'EPERM',
  },
  {
    why: 'Obsolete; kernels built without them say the same.',
    calls: ['lookup_dcookie', 'nfsservctl', 'uselib', 'ustat', 'sysfs'],
    decision: 'ENOSYS',
  },
  {
    why:
      'Native asynchronous input and output: its room (fs.aio-max-nr) is one for the whole host, whoever takes it, and not bounded for a ' +
      'process or user. Runtimes use threads.',
    calls: ['io_setup', 'io_destroy', 'io_getevents', 'io_pgetevents', 'io_submit', 'io_cancel'],
    decision: 'ENOSYS',
  },
  {
    why:
      'Leases on files, which the owner of a file may take, read-only mounts or not: an ordinary server shares its user id with functions, ' +
      'and every other open of what they see of its files would wait for them. Notices about directories are a part of the same.',
    calls: ['fcntl'],
    decision: {
      argument: 1,
      cases: [{ values: [F_SETLEASE, F_NOTIFY, F_SETDELEG], decision: 'EPERM' }],
      otherwise: 'allow',
    },
  },
  {
    why: 'Huge pages that the operator has set aside for others; no limit of memory counts them.',
    calls: ['mmap'],
    decision: noHugePages(3, MAP_HUGETLB),
  },
  { why: 'Huge pages.', calls: ['memfd_create'], decision: noHugePages(1, MFD_HUGETLB) },
  { why: 'Huge pages.', calls: ['shmget'], decision: noHugePages(2, SHM_HUGETLB) },
  {
    why: 'Other personalities weaken the layout of memory. The plain one, and asking for it, are harmless.',
    calls: ['personality'],
    decision: onlyValues(0, [0, 0xffff_ffff], 'EPERM'),
  },
  {
    why: 'Typing into the terminal of whoever started the server.',
    calls: ['ioctl'],
    decision: {
      argument: 1,
      cases: [{ values: [TIOCSTI, TIOCLINUX], decision: 'EPERM' }],
      otherwise: 'allow',
    },
  },
  { why: 'Device files.', calls: ['mknod'], decision: noDevices(1) },
  { why: 'Device files.', calls: ['mknodat'], decision: noDevices(2) },
  {
    why:
      'TCP, UDP and local sockets, and of netlink what lists network interfaces. Not raw and packet sockets, nor the dozens ' +
      'of families and protocols that the kernel would load a module for.',
    calls: ['socket'],
    decision: {
      argument: 0,
      cases: [
        { values: [AF_UNIX], decision: 'allow' },
        {
          values: [AF_INET, AF_INET6],
          decision: {
            argument: 1,
            mask: SOCK_TYPE_MASK,
            cases: [
              {
                values: [SOCK_STREAM, SOCK_DGRAM],
                decision: onlyValues(2, [0, IPPROTO_TCP, IPPROTO_UDP], 'EPROTONOSUPPORT'),
              },
            ],
            otherwise: 'EPERM',
          },
        },
        { values: [AF_NETLINK], decision: onlyValues(2, [NETLINK_ROUTE], 'EPROTONOSUPPORT') },
      ],
      otherwise: 'EAFNOSUPPORT',
    },
  },
  {
    why: 'Pairs exist of local sockets alone.',
    calls: ['socketpair'],
    decision: onlyValues(0, [AF_UNIX], 'EAFNOSUPPORT'),
  },
]

/**
 * What functions may not ask for, besides and instead of what {@link POLICY} says of the same calls, where no group of the kernel counts their memory. The watch adds up what processes have
 * mapped, and none of this has to be.
 */
export const UNCOUNTED_MEMORY: Rule = {
  why:
    'Memory that belongs to no process: files without a name and the segments, semaphores and messages of System V, which the ' +
    'kernel bounds by terabytes. POSIX shared memory lies in /dev/shm, which has a size, and its queues have a limit of the user.',
  calls: ['memfd_create', 'memfd_secret', 'shmget', 'semget', 'msgget'],
  decision: 'ENOSYS',
}
