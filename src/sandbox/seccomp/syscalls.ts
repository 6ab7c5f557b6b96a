/** Processors that have a table here, as `process.arch` names them. */
export type Architecture = 'x64' | 'arm64'

/** How the kernel tells which table a number belongs to. Source: `AUDIT_ARCH_…` of uapi/linux/audit.h. */
export const AUDIT_ARCHITECTURE: Readonly<Record<Architecture, number>> = {
  x64: 0xc000003e,
  arm64: 0xc00000b7,
}

/**
 * The last system call that the policy was written with: `file_setattr`, Linux 6.17, on every architecture. The numbers of
 * x86_64's second table, x32, have bit 30 set and are above it, too.
 */
export const LAST_KNOWN = 469

/** Absent: this architecture never had it. */
type Numbers = readonly [x64: number, arm64?: number]

/**
 * Numbers of the system calls that the policy names. Source: Linux 6.17, arch/x86/entry/syscalls/syscall_64.tbl and
 * scripts/syscall.tbl (arm64); calls that a kernel has dropped keep their number.
 */
const NUMBERS = {
  acct: [163, 89],
  add_key: [248, 217],
  adjtimex: [159, 171],
  bpf: [321, 280],
  chroot: [161, 51],
  clock_adjtime: [305, 266],
  clock_settime: [227, 112],
  clone: [56, 220],
  clone3: [435, 435],
  delete_module: [176, 106],
  fanotify_init: [300, 262],
  fanotify_mark: [301, 263],
  fcntl: [72, 25],
  finit_module: [313, 273],
  fsconfig: [431, 431],
  fsmount: [432, 432],
  fsopen: [430, 430],
  fspick: [433, 433],
  get_mempolicy: [239, 236],
  init_module: [175, 105],
  io_cancel: [210, 3],
  io_destroy: [207, 1],
  io_getevents: [208, 4],
  io_pgetevents: [333, 292],
  io_setup: [206, 0],
  io_submit: [209, 2],
  io_uring_enter: [426, 426],
  io_uring_register: [427, 427],
  io_uring_setup: [425, 425],
  ioctl: [16, 29],
  ioperm: [173],
  iopl: [172],
  kcmp: [312, 272],
  kexec_file_load: [320, 294],
  kexec_load: [246, 104],
  keyctl: [250, 219],
  lookup_dcookie: [212, 18],
  mbind: [237, 235],
  memfd_create: [319, 279],
  memfd_secret: [447, 447],
  migrate_pages: [256, 238],
  mknod: [133],
  mknodat: [259, 33],
  mmap: [9, 222],
  modify_ldt: [154],
  mount: [165, 40],
  mount_setattr: [442, 442],
  move_mount: [429, 429],
  move_pages: [279, 239],
  msgget: [68, 186],
  name_to_handle_at: [303, 264],
  nfsservctl: [180, 42],
  open_by_handle_at: [304, 265],
  open_tree: [428, 428],
  open_tree_attr: [467, 467],
  perf_event_open: [298, 241],
  personality: [135, 92],
  pidfd_getfd: [438, 438],
  pivot_root: [155, 41],
  process_madvise: [440, 440],
  process_vm_readv: [310, 270],
  process_vm_writev: [311, 271],
  ptrace: [101, 117],
  quotactl: [179, 60],
  quotactl_fd: [443, 443],
  reboot: [169, 142],
  request_key: [249, 218],
  semget: [64, 190],
  set_mempolicy: [238, 237],
  set_mempolicy_home_node: [450, 450],
  setdomainname: [171, 162],
  sethostname: [170, 161],
  setns: [308, 268],
  settimeofday: [164, 170],
  shmget: [29, 194],
  socket: [41, 198],
  socketpair: [53, 199],
  swapoff: [168, 225],
  swapon: [167, 224],
  sysfs: [139],
  syslog: [103, 116],
  umount2: [166, 39],
  unshare: [272, 97],
  uselib: [134],
  userfaultfd: [323, 282],
  ustat: [136],
  vhangup: [153, 58],
  vmsplice: [278, 75],
} as const satisfies Record<string, Numbers>

export type SyscallName = keyof typeof NUMBERS

/** @returns The number, undefined where the architecture does not have the call. */
export function numberOf(name: SyscallName, architecture: Architecture): number | undefined {
  const [x64, arm64]: Numbers = NUMBERS[name]
  return architecture === 'x64' ? x64 : arm64
}
