import { describe, expect, test } from 'vitest'
import { BpfProgram, MOST_INSTRUCTIONS } from '../../../src/sandbox/seccomp/bpf.ts'
import { runFilter } from './interpreter.ts'

const answerFor = (program: BpfProgram, number: number): number =>
  runFilter(program.assemble(), { number, architecture: 0 }).answer

/** Jumps over this many instructions. */
function jumpOver(instructions: number): BpfProgram {
  const program = new BpfProgram()
  const far = Symbol('far')
  program.load(0)
  program.jump('equals', 7, far)
  for (let index = 0; index < instructions; index += 1) program.return(1)
  program.place(far)
  program.return(2)
  return program
}

describe('the assembler', () => {
  test('writes instructions as the kernel reads them, little endian', () => {
    const program = new BpfProgram()
    const yes = Symbol('yes')
    program.load(4)
    program.and(0x0102_0304)
    program.jump('equals', 0xc000_003e, yes)
    program.return(0x8000_0000)
    program.place(yes)
    program.return(0x7fff_0000)
    expect(program.assemble().toString('hex').match(/.{16}/g)).toEqual([
      '2000000004000000',
      '5400000004030201',
      '150001003e0000c0',
      '0600000000000080',
      '060000000000ff7f',
    ])
  })

  test.each([
    ['equals', [2, 1, 2]],
    ['above', [2, 2, 1]],
    ['atLeast', [2, 1, 1]],
  ] as const)('goes the right way at "%s"', (condition, [below, same, above]) => {
    const program = new BpfProgram()
    const yes = Symbol('yes')
    program.load(0)
    program.jump(condition, 0x9000_0000, yes)
    program.return(2)
    program.place(yes)
    program.return(1)
    expect([0x8fff_ffff, 0x9000_0000, 0x9000_0001].map((number) => answerFor(program, number))).toEqual([
      below,
      same,
      above,
    ])
  })

  test('jumps as far as one byte can tell, and refuses to go further', () => {
    expect(answerFor(jumpOver(255), 7)).toBe(2)
    expect(answerFor(jumpOver(255), 8)).toBe(1)
    expect(() => jumpOver(256).assemble()).toThrow(/jump of 256 instructions/)
  })

  test('refuses a jump backwards, one to nowhere and one over the end', () => {
    const backwards = new BpfProgram()
    const start = Symbol('start')
    backwards.place(start)
    backwards.load(0)
    backwards.jump('equals', 0, start)
    expect(() => backwards.assemble()).toThrow(RangeError)
    const nowhere = new BpfProgram()
    nowhere.jump('equals', 0, Symbol('nowhere'))
    expect(() => nowhere.assemble()).toThrow(/no instruction/)
    const over = new BpfProgram()
    const end = Symbol('end')
    over.jump('equals', 0, end)
    over.place(end)
    expect(() => over.assemble()).toThrow(/no instruction/)
  })

  test('refuses a program that is longer than the kernel takes', () => {
    const program = new BpfProgram()
    for (let index = 0; index < MOST_INSTRUCTIONS; index += 1) program.return(0)
    expect(program.assemble()).toHaveLength(8 * MOST_INSTRUCTIONS)
    program.return(0)
    expect(() => program.assemble()).toThrow(/too long/)
  })
})
