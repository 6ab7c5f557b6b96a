import { BpfProgram } from './bpf.ts'
import { ERRNO, POLICY, UNCOUNTED_MEMORY, type Decision, type Rule, type Verdict } from './policy.ts'
import { AUDIT_ARCHITECTURE, LAST_KNOWN, numberOf, type Architecture } from './syscalls.ts'

/** What a filter answers. Source: `SECCOMP_RET_…` of uapi/linux/seccomp.h. */
export const KILL_PROCESS = 0x8000_0000
export const ALLOW = 0x7fff_0000
export const FAIL_WITH = 0x0005_0000

/** Where the data of a filter has its fields: `struct seccomp_data`, little endian. */
const NUMBER_OFFSET = 0
const ARCHITECTURE_OFFSET = 4
const lowerHalfOf = (argument: number): number => 16 + 8 * argument

/** Consecutive numbers with the same decision: from `first` up to the next one's. */
interface Span {
  readonly first: number
  readonly decision: Decision
}

/**
 * The filter of system calls for programs of a processor, as bwrap's `--seccomp` reads it.
 *
 * A call through another table of numbers (32-bit programs) ends the process: its numbers mean other calls. What the policy
 * allows whatever its arguments are is decided by the number alone, in about nine instructions; Linux 5.11 and later run
 * the filter for these once, at the start, and remember the answer.
 *
 * @param architecture As `process.arch` names it.
 * @param options.memoryIsCounted Whether a group of the kernel limits the memory of who gets it, default true; else it refuses
 *   {@link UNCOUNTED_MEMORY} as well.
 * @returns Undefined for a processor without a table.
 */
export function seccompFilter(
  architecture: string = process.arch,
  { memoryIsCounted = true }: { readonly memoryIsCounted?: boolean } = {},
): Buffer | undefined {
  if (architecture !== 'x64' && architecture !== 'arm64') return undefined
  const program = new BpfProgram()
  const native = Symbol('native')
  program.load(ARCHITECTURE_OFFSET)
  program.jump('equals', AUDIT_ARCHITECTURE[architecture], native)
  program.return(KILL_PROCESS)
  program.place(native)
  program.load(NUMBER_OFFSET)
  const policy = memoryIsCounted ? POLICY : [...POLICY, UNCOUNTED_MEMORY]
  writeSearch(program, spansOf(policy, architecture))
  return program.assemble()
}

function spansOf(policy: readonly Rule[], architecture: Architecture): Span[] {
  // A later rule takes the place of an earlier one.
  const byNumber = new Map(
    policy.flatMap(({ calls, decision }) =>
      calls.flatMap((name) => {
        const number = numberOf(name, architecture)
        return number === undefined ? [] : [[number, decision] as const]
      }),
    ),
  )
  const decided = [...byNumber].sort(([a], [b]) => a - b)
  const spans: Span[] = []
  const add = (first: number, decision: Decision): void => {
    if (spans.at(-1)?.decision !== decision) spans.push({ first, decision })
  }
  let next = 0
  for (const [number, decision] of decided) {
    if (number > next) add(next, 'allow')
    add(number, decision)
    next = number + 1
  }
  if (next <= LAST_KNOWN) add(next, 'allow')
  add(LAST_KNOWN + 1, 'ENOSYS')
  return spans
}

/** Binary search for the span of the number that was loaded. */
function writeSearch(program: BpfProgram, spans: readonly Span[]): void {
  const middle = spans.length >> 1
  const [first] = spans
  const upper = spans[middle]
  if (first === undefined || upper === undefined) return
  if (middle === 0) {
    writeDecision(program, first.decision)
    return
  }
  const inUpperHalf = Symbol('upper half')
  program.jump('atLeast', upper.first, inUpperHalf)
  writeSearch(program, spans.slice(0, middle))
  program.place(inUpperHalf)
  writeSearch(program, spans.slice(middle))
}

function writeDecision(program: BpfProgram, decision: Decision): void {
  if (typeof decision === 'string') {
    program.return(answerOf(decision))
    return
  }
  const { argument, mask, cases, otherwise } = decision
  program.load(lowerHalfOf(argument))
  if (mask !== undefined) program.and(mask)
  const branches = cases.map((branch) => ({ ...branch, label: Symbol('case') }))
  for (const { values, label } of branches) for (const value of values) program.jump('equals', value, label)
  writeDecision(program, otherwise)
  for (const { label, decision: next } of branches) {
    program.place(label)
    writeDecision(program, next)
  }
}

function answerOf(verdict: Verdict): number {
  return verdict === 'allow' ? ALLOW : FAIL_WITH | ERRNO[verdict]
}
