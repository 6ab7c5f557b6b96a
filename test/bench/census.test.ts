import { expect, test } from 'vitest'
import {
  compareRests,
  growthOverRests,
  leftBehind,
  readMounts,
  type Census,
} from '../../bench/soak/census.ts'

const NOTHING: Census = {
  trees: 0,
  zygotes: 0,
  processes: 0,
  cgroups: 0,
  mounts: 0,
  stateEntries: 0,
  slots: 0,
  sharedMemoryEntries: 0,
  temporaryEntries: 0,
  descriptors: 0,
  rssMib: 0,
}
const ROOT = '21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n'
const STATE = '90 21 0:55 / /tmp/state rw - tmpfs tmpfs rw\n'

test('a server that ended and changed no mount left nothing behind', () => {
  const mounts = readMounts()
  expect(mounts.split('\n').some((line) => line.split(' ')[4] === '/proc')).toBe(true)
  expect(leftBehind(NOTHING, { before: mounts, after: mounts })).toEqual([])
})

test('what grows from rest to rest is told, also where no rest has too much of it', () => {
  const growing = [1, 2, 3, 4, 5, 6].map((cgroups) => ({ ...NOTHING, cgroups }))
  expect(growing.flatMap((rest) => compareRests(NOTHING, rest))).toEqual([])
  expect(growthOverRests(growing)).toEqual(['cgroups: more at each of 6 rests: 1, 2, 3, 4, 5, 6'])
  expect(growthOverRests(growing.slice(1))).toEqual([])
  expect(growthOverRests([...growing, { ...NOTHING, cgroups: 6 }])).toEqual([])
  // Six for each tree more.
  expect(
    growthOverRests(
      [0, 0, 0, 0, 0, 1].map((trees, index) => ({ ...NOTHING, trees, cgroups: 6 * trees + index })),
    ),
  ).toHaveLength(1)
  const explained = [1, 2, 3, 4, 4, 5].map((trees) => ({ ...NOTHING, trees, cgroups: 6 * trees }))
  expect(growthOverRests(explained)).toEqual([])
})

test('mounts that an ended server left on the host, or took from it, are told, as are its processes', () => {
  expect(leftBehind(NOTHING, { before: ROOT, after: ROOT + STATE })).toEqual([
    'mounts: /tmp/state is new after the end of the server',
  ])
  expect(leftBehind(NOTHING, { before: ROOT + STATE, after: ROOT })).toEqual([
    'mounts: /tmp/state is gone after the end of the server',
  ])
  expect(leftBehind({ ...NOTHING, processes: 2 }, { before: ROOT, after: ROOT })).toEqual([
    'processes: 2 after the end of the server',
  ])
})
