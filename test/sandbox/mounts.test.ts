import { expect, test } from 'vitest'
import { mountsIn, placeOf } from '../../src/sandbox/mounts.ts'

/** Lines of `/proc/self/mountinfo`: id, parent, file system, its root there, mount point. */
const mounts = (...lines: readonly string[]): ReturnType<typeof mountsIn> =>
  mountsIn(lines.map((line) => `${line} rw,relatime shared:1 - ext4 /dev/vda rw,discard\n`).join(''))

test('a mount is read as the kernel writes it', () => {
  expect(mounts('31 23 8:1 /a\\040b /mnt/c\\134d')).toEqual([
    {
      id: '31',
      parent: '23',
      device: '8:1',
      root: '/a b',
      mountPoint: '/mnt/c\\d',
      type: 'ext4',
      options: ['rw', 'discard'],
    },
  ])
})

test('a path has its place in the file system that is mounted there', () => {
  const seen = mounts('20 1 8:1 /os /', '21 20 8:2 / /home', '22 21 8:1 /os/srv/data /home/me')
  const placeSeen = (path: string): string => Object.values(placeOf(path, seen) ?? {}).join(' ')
  expect(['/', '/homes', '/home', '/home/you', '/home/me', '/home/me/x'].map(placeSeen)).toEqual([
    '8:1 /os',
    '8:1 /os/homes',
    '8:2 /',
    '8:2 /you',
    '8:1 /os/srv/data',
    '8:1 /os/srv/data/x',
  ])
})

test('a mount that lies below another one is not seen', () => {
  const seen = mounts('20 1 8:1 / /', '21 20 8:2 / /a/b', '22 20 8:3 / /a', '23 22 8:4 /x /a')
  expect(placeOf('/a/b/c', seen)).toEqual({ device: '8:4', path: '/x/b/c' })
})

test('a root that is mounted on itself, or on another root, is one', () => {
  expect(placeOf('/a', mounts('1 1 0:2 / /'))).toEqual({ device: '0:2', path: '/a' })
  expect(placeOf('/a', mounts('1 1 0:2 / /', '20 1 8:1 / /'))).toEqual({ device: '8:1', path: '/a' })
})

test('where the root is no mount that is seen, no place is known', () => {
  expect(placeOf('/a', mounts('21 20 8:2 / /home'))).toBeUndefined()
})
