import { describe, expect, test } from 'vitest'
import { sharesOf } from '../../../src/sandbox/prestarted/shares.ts'
import { stemClassOf, templateOf, type SpecTemplate } from '../../../src/sandbox/prestarted/stem-class.ts'

const code = (source: string, target = '/code') => ({ source, target, holdsCode: true }) as const
const spec = (changes: Partial<SpecTemplate> = {}): SpecTemplate => ({
  command: ['/usr/bin/node', '/bootstrap.js'],
  mounts: [{ source: '/host/bootstrap', target: '/bootstrap' }, code('/packages/a')],
  environment: { LANG: 'C' },
  workDir: '/code',
  memoryMib: 128,
  diskMib: 512,
  ...changes,
})
const keyOf = (changes: Partial<SpecTemplate> = {}) => stemClassOf(spec(changes))?.key

describe('the class of a specification', () => {
  test('does not depend on whose code is shown', () => {
    expect(keyOf()).toBeDefined()
    expect(keyOf({ mounts: [...spec().mounts.slice(0, 1), code('/packages/b')] })).toBe(keyOf())
  })

  test('depends on everything else', () => {
    const others = [
      { command: ['/usr/bin/node', '--flag', '/bootstrap.js'] },
      { mounts: [{ source: '/host/other', target: '/bootstrap' }, code('/packages/a')] },
      { mounts: [...spec().mounts, code('/packages/layer', '/opt')] },
      { mounts: [...spec().mounts.slice(0, 1), code('/packages/a', '/var/code')] },
      { environment: { LANG: 'de' } },
      { workDir: '/tmp' },
      { memoryMib: 256 },
      { diskMib: 1024 },
      { network: 'egress' },
    ] as const
    const keys = [keyOf(), ...others.map(keyOf)]
    expect(new Set(keys).size).toBe(others.length + 1)
    expect(keys).not.toContain(undefined)
  })

  test('is the same for a start as for the expectation of it', () => {
    const template = templateOf({ ...spec(), functionId: 'a', ticketsFd: 7 })
    expect(stemClassOf(template)?.key).toBe(keyOf())
  })

  test('is none without code, or where a mount lies inside one that holds code or around it', () => {
    expect(keyOf({ mounts: spec().mounts.slice(0, 1) })).toBeUndefined()
    const inside = { source: '/usr/local/python', target: '/opt/python' }
    expect(keyOf({ mounts: [inside, code('/packages/layer', '/opt')] })).toBeUndefined()
    expect(keyOf({ mounts: [code('/packages/a'), code('/packages/b', '/code/b')] })).toBeUndefined()
  })
})

describe('shares', () => {
  test('go to the four classes asked for last, eight processes together', () => {
    expect(sharesOf(5, 2)).toEqual([2, 2, 2, 2, 0])
    expect(sharesOf(3, 5)).toEqual([5, 3, 0])
    expect(sharesOf(2, 0)).toEqual([0, 0])
  })
})
