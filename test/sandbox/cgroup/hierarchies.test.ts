import { describe, expect, test } from 'vitest'
import { hierarchiesOf } from '../../../src/sandbox/cgroup/hierarchies.ts'

/** A line of mountinfo. */
const mount = (root: string, point: string, type: string, options: string): string =>
  `31 23 0:28 ${root} ${point} rw,nosuid shared:9 - ${type} cgroup rw,${options}\n`

describe('the own group of the server', () => {
  test('is found in every hierarchy of v1, by any of its controllers', () => {
    const found = hierarchiesOf(
      '5:cpu,cpuacct:/system.slice/anvoke.service\n4:memory:/system.slice/anvoke.service\n1:name=systemd:/init.scope\n',
      mount('/', '/sys/fs/cgroup/cpu,cpuacct', 'cgroup', 'cpu,cpuacct') +
        mount('/', '/sys/fs/cgroup/memory', 'cgroup', 'memory') +
        mount('/', '/sys/fs/cgroup/systemd', 'cgroup', 'name=systemd'),
    )
    expect(found.map(({ version, controllers, ownDir }) => [version, controllers.join(), ownDir])).toEqual([
      [1, 'cpu,cpuacct', '/sys/fs/cgroup/cpu,cpuacct/system.slice/anvoke.service'],
      [1, 'memory', '/sys/fs/cgroup/memory/system.slice/anvoke.service'],
      [1, 'name=systemd', '/sys/fs/cgroup/systemd/init.scope'],
    ])
  })

  test('is found in the one hierarchy of v2', () => {
    const found = hierarchiesOf(
      '0::/user.slice/a.scope\n',
      mount('/', '/sys/fs/cgroup', 'cgroup2', 'nsdelegate'),
    )
    expect(found).toEqual([
      {
        version: 2,
        controllers: [],
        mountPoint: '/sys/fs/cgroup',
        ownDir: '/sys/fs/cgroup/user.slice/a.scope',
      },
    ])
  })

  test('is found where both are mounted, also when it is the root', () => {
    const found = hierarchiesOf(
      '4:memory:/\n0::/\n',
      mount('/', '/sys/fs/cgroup/memory', 'cgroup', 'memory') +
        mount('/', '/sys/fs/cgroup/unified', 'cgroup2', 'nsdelegate'),
    )
    expect(found.map(({ version, ownDir }) => [version, ownDir])).toEqual([
      [1, '/sys/fs/cgroup/memory'],
      [2, '/sys/fs/cgroup/unified'],
    ])
  })

  test.each([
    ['the part that a container is shown', '/docker/ab', '/docker/ab/inner', '/sys/fs/cgroup/inner'],
    ['exactly that part', '/docker/ab', '/docker/ab', '/sys/fs/cgroup'],
    ['a mount that does not show it', '/docker/ab', '/docker/abc', '/sys/fs/cgroup'],
    ['a path above the namespace', '/', '/../../other', '/sys/fs/cgroup'],
  ])('is looked for below the mount point: %s', (_what, root, path, expected) => {
    const [found] = hierarchiesOf(`0::${path}\n`, mount(root, '/sys/fs/cgroup', 'cgroup2', 'nsdelegate'))
    expect(found?.ownDir).toBe(expected)
  })

  test('is nowhere when nothing is mounted, or for another controller', () => {
    expect(hierarchiesOf('4:memory:/\n0::/\n', mount('/', '/x', 'cgroup', 'pids'))).toEqual([])
  })

  test('is found under a mount point with a space', () => {
    const [found] = hierarchiesOf('0::/a b\n', mount('/', '/my\\040groups', 'cgroup2', 'rw'))
    expect(found?.ownDir).toBe('/my groups/a b')
  })
})
