/** A place in a {@link BpfProgram} that jumps go to. Each is placed once, after every jump to it. */
export type Label = symbol

/** What is true of the accumulator when the jump is taken. All comparisons are unsigned, 32 bits. */
export type Condition = 'equals' | 'above' | 'atLeast'

/** What a program may have at most. Source: `BPF_MAXINSNS` of the kernel's uapi/linux/bpf_common.h. */
export const MOST_INSTRUCTIONS = 4096

/** A jump's two distances are one byte each. Source: `struct sock_filter` of uapi/linux/filter.h. */
const LONGEST_JUMP = 255

/** Bytes of one `struct sock_filter`: code u16, distance when true u8, when false u8, constant u32. */
export const INSTRUCTION_BYTES = 8

/** Source of the numbers: uapi/linux/bpf_common.h. `K`: the operand is the instruction's constant. */
export const CODES = {
  /** `BPF_LD | BPF_W | BPF_ABS`: the 32 bits at this offset of the data into the accumulator. */
  load: 0x20,
  /** `BPF_ALU | BPF_AND | BPF_K` */
  and: 0x54,
  /** `BPF_JMP | BPF_JEQ | BPF_K` */
  equals: 0x15,
  /** `BPF_JMP | BPF_JGT | BPF_K` */
  above: 0x25,
  /** `BPF_JMP | BPF_JGE | BPF_K` */
  atLeast: 0x35,
  /** `BPF_RET | BPF_K` */
  return: 0x06,
} as const

interface Instruction {
  readonly code: number
  readonly constant: number
  readonly whenTrue?: Label | undefined
  readonly whenFalse?: Label | undefined
}

/** A program in classic BPF, written from its first instruction to its last; jumps only go forward, as the kernel demands. */
export class BpfProgram {
  readonly #instructions: Instruction[] = []
  readonly #places = new Map<Label, number>()

  /** Loads the 32 bits at `offset` bytes of the data, a multiple of 4. */
  load(offset: number): void {
    this.#instructions.push({ code: CODES.load, constant: offset })
  }

  /** Keeps only these bits of what was loaded. */
  and(bits: number): void {
    this.#instructions.push({ code: CODES.and, constant: bits })
  }

  /** Compares what was loaded; goes on with the next instruction where a label is missing. */
  jump(condition: Condition, constant: number, whenTrue?: Label, whenFalse?: Label): void {
    this.#instructions.push({ code: CODES[condition], constant, whenTrue, whenFalse })
  }

  /** Ends the program with this value. */
  return(value: number): void {
    this.#instructions.push({ code: CODES.return, constant: value })
  }

  /** Makes the label mean the next instruction. */
  place(label: Label): void {
    this.#places.set(label, this.#instructions.length)
  }

  /**
   * @returns The program as an array of `struct sock_filter`, little endian.
   * @throws {RangeError} When it is too long, a jump is too far, or a label was not placed after the jump to it.
   */
  assemble(): Buffer {
    if (this.#instructions.length > MOST_INSTRUCTIONS)
      throw new RangeError(`a BPF program of ${this.#instructions.length} instructions is too long`)
    const bytes = Buffer.alloc(this.#instructions.length * INSTRUCTION_BYTES)
    for (const [index, { code, constant, whenTrue, whenFalse }] of this.#instructions.entries()) {
      const at = index * INSTRUCTION_BYTES
      bytes.writeUInt16LE(code, at)
      bytes.writeUInt8(this.#distance(index, whenTrue), at + 2)
      bytes.writeUInt8(this.#distance(index, whenFalse), at + 3)
      bytes.writeUInt32LE(constant, at + 4)
    }
    return bytes
  }

  #distance(from: number, label: Label | undefined): number {
    if (label === undefined) return 0
    const to = this.#places.get(label)
    if (to === undefined || to >= this.#instructions.length)
      throw new RangeError('a BPF jump goes to no instruction')
    const distance = to - from - 1
    if (distance < 0 || distance > LONGEST_JUMP)
      throw new RangeError(`a BPF jump of ${distance} instructions is not possible`)
    return distance
  }
}
