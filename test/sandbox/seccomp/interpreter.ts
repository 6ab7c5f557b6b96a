import { CODES, INSTRUCTION_BYTES } from '../../../src/sandbox/seccomp/bpf.ts'

/** One system call as a filter sees it. */
export interface Call {
  readonly number: number
  /** `AUDIT_ARCH_…` */
  readonly architecture: number
  /** Up to six, 64 bits each; default 0. */
  readonly arguments?: readonly bigint[]
}

export interface Ruling {
  readonly answer: number
  /** How many instructions were run. */
  readonly steps: number
  /** Whether anything but the number and the architecture was looked at. */
  readonly readArguments: boolean
}

/** Runs a program in classic BPF over one call, as the kernel would. @throws on what the kernel would refuse to load. */
export function runFilter(program: Buffer, call: Call): Ruling {
  const data = Buffer.alloc(64)
  data.writeUInt32LE(call.number, 0)
  data.writeUInt32LE(call.architecture, 4)
  for (const [index, value] of (call.arguments ?? []).entries())
    data.writeBigUInt64LE(BigInt.asUintN(64, value), 16 + 8 * index)
  let accumulator = 0
  let readArguments = false
  let at = 0
  for (let steps = 1; ; steps += 1) {
    const [code, whenTrue, whenFalse, constant] = instructionAt(program, at)
    const jump = (isTrue: boolean): number => at + 1 + (isTrue ? whenTrue : whenFalse)
    switch (code) {
      case CODES.load:
        if (constant % 4 !== 0 || constant > 60) throw new RangeError(`a load at ${constant}`)
        readArguments ||= constant > 4
        accumulator = data.readUInt32LE(constant)
        at += 1
        break
      case CODES.and:
        accumulator = (accumulator & constant) >>> 0
        at += 1
        break
      case CODES.equals:
        at = jump(accumulator === constant)
        break
      case CODES.above:
        at = jump(accumulator > constant)
        break
      case CODES.atLeast:
        at = jump(accumulator >= constant)
        break
      case CODES.return:
        return { answer: constant, steps, readArguments }
      default:
        throw new RangeError(`no instruction has the code ${code}`)
    }
  }
}

function instructionAt(program: Buffer, index: number): [number, number, number, number] {
  const at = index * INSTRUCTION_BYTES
  if (at + INSTRUCTION_BYTES > program.length) throw new RangeError('the program has run over its end')
  return [
    program.readUInt16LE(at),
    program.readUInt8(at + 2),
    program.readUInt8(at + 3),
    program.readUInt32LE(at + 4),
  ]
}
