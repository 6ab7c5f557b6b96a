import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { chooseSandbox, probeSandboxes } from '../../src/sandbox/probe.ts'
import type { Sandbox } from '../../src/sandbox/sandbox.ts'
import {
  eventually,
  firstLine,
  hasPython,
  NODE,
  pidsWith,
  run,
  start,
  uniqueSleep,
  Workbench,
} from './harness.ts'

const isRoot = process.getuid?.() === 0
const works = (await probeSandboxes()).some((finding) => finding.driver === 'bwrap' && finding.works)

const plainBwrap = spawnSync('/usr/bin/bwrap', [
  '--unshare-all',
  '--ro-bind',
  '/',
  '/',
  '--proc',
  '/proc',
  '/bin/true',
])

// A host without it, or without the namespaces for it, has nothing to compare with.
test.runIf(plainBwrap.status === 0)('the bwrap sandbox works wherever bubblewrap itself does', () => {
  expect(works).toBe(true)
})

const ways = ['started', ...(hasPython ? (['forked'] as const) : [])] as const

// Where bwrap does not work there is nothing to hold to its promises; the probe's own tests tell why.
describe.runIf(works).each(ways)('a function in the bwrap sandbox, its processes %s', (way) => {
  let workbench: Workbench
  let sandbox: Sandbox
  let stateDir: string

  beforeEach(async () => {
    workbench = new Workbench(way)
    stateDir = mkdtempSync(join(tmpdir(), 'anvoke-bwrap-test-'))
    const { zygotes } = workbench
    const options = { uidBase: 710_000, uidCount: 2, stateDir, ...(way === 'forked' && { zygotes }) }
    sandbox = (await chooseSandbox('bwrap', options)).sandbox
  })
  afterEach(async () => {
    await sandbox.close()
    workbench.close()
    rmSync(stateDir, { recursive: true, force: true })
  })

  /** What a shell script prints inside. */
  async function inside(script: string, changes = {}): Promise<string> {
    const { stdout, stderr } = await run(sandbox, workbench.shell(script, changes))
    expect(stderr).toBe('')
    return stdout
  }

  test('has no privileges and can get none', async () => {
    const status = await inside(
      'grep -E "^(Uid|Gid|Groups|CapPrm|CapEff|CapInh|CapAmb|NoNewPrivs):" /proc/self/status',
    )
    const fields = Object.fromEntries(
      status
        .split('\n')
        .map((line): [string, string] => [line.split(':')[0] ?? '', line.split(/:\s+/)[1] ?? '']),
    )
    const none = '0000000000000000'
    expect(fields).toMatchObject({ CapPrm: none, CapEff: none, CapInh: none, CapAmb: none, NoNewPrivs: '1' })
    expect(fields['Uid']).toBe('710000\t710000\t710000\t710000')
    expect(fields['Gid']).toBe('710000\t710000\t710000\t710000')
  })

  // An ordinary user’s sandbox has a user namespace, where the set says nothing of the host.
  test.runIf(isRoot)('has an empty bounding set of capabilities', async () => {
    expect(await inside('grep CapBnd: /proc/self/status')).toBe('CapBnd:\t0000000000000000\n')
  })

  // Only root can leave its groups.
  test.runIf(isRoot)('is in no group of the server', async () => {
    expect(await inside('id -G')).toBe('710000\n')
  })

  test('has namespaces of its own, of every kind', async () => {
    // As root, the host's user namespace is safe: nothing of the function has a capability in it, or can get one.
    const kinds = ['pid', 'net', 'ipc', 'uts', 'cgroup', 'mnt', ...(isRoot ? [] : ['user'])]
    const links = await inside(`cd /proc/self/ns && readlink ${kinds.join(' ')}`)
    const own = links.trim().split('\n')
    expect(own).toHaveLength(kinds.length)
    const ours = await text(
      spawn(
        'readlink',
        kinds.map((kind) => `/proc/self/ns/${kind}`),
      ).stdout,
    )
    expect(own.filter((link) => ours.includes(link))).toEqual([])
  })

  // Only root can give ids away.
  test.runIf(isRoot)('runs on the host as a user id of its own', async () => {
    const mark = uniqueSleep()
    await start(sandbox, workbench.shell(`exec sleep ${mark}`))
    await eventually(() => pidsWith(mark).length === 1)
    const [pid] = pidsWith(mark)
    expect(readFileSync(`/proc/${pid}/status`, 'latin1')).toMatch(
      /^Uid:\s+710000\s+710000\s+710000\s+710000$/m,
    )
  })

  test('shares its user id with its other instances and with no other function', async () => {
    const hold = 'id -u >&3; read line <&3'
    const first = await start(sandbox, workbench.shell(hold))
    const second = await start(sandbox, workbench.shell(hold))
    const other = await start(sandbox, workbench.shell(hold, { functionId: 'function-b' }))
    const ids = [await firstLine(first), await firstLine(second), await firstLine(other)]
    expect(ids).toEqual(['710000', '710000', '710001'])
    const third = await run(sandbox, workbench.shell('id -u', { functionId: 'function-c' }))
    expect(third.exit).toEqual({ kind: 'notStarted', reason: 'every user id for functions is in use' })
    other.kill()
    await other.exited
    expect(await inside('id -u', { functionId: 'function-c' })).toBe('710001\n')
  })

  test('sees no process but its own', async () => {
    const neighbour = uniqueSleep()
    await start(sandbox, workbench.shell(`exec sleep ${neighbour}`))
    await eventually(() => pidsWith(neighbour).length === 1)
    expect(await inside('cat /proc/[0-9]*/cmdline | tr "\\0" "\\n"')).not.toContain(neighbour)
    // Numbers count from 1 in a namespace of its own.
    const pids = (await inside('cd /proc; echo [0-9]*')).trim().split(' ').map(Number)
    expect(Math.max(...pids)).toBeLessThan(20)
  })

  test('reads neither the memory nor the environment of what is outside', async () => {
    const { stdout, exit } = await run(
      sandbox,
      workbench.shell(
        `cat /proc/1/environ /proc/1/mem /proc/${process.pid}/environ 2>/dev/null; ls /proc/1/root/home`,
      ),
    )
    expect(stdout).toBe('')
    expect(exit).not.toEqual({ kind: 'exited', exitCode: 0 })
  })

  test('cannot reach the data directory, homes, or the rest of the host’s files', async () => {
    const secret = join(workbench.dir, 'secret')
    writeFileSync(secret, 'of the server', { mode: 0o644 })
    mkdirSync(join(workbench.dir, 'code'))
    const mounts = [{ source: join(workbench.dir, 'code'), target: '/code' }]
    const { stdout, stderr } = await run(
      sandbox,
      workbench.shell(
        `cat ${secret} /code/../secret /etc/shadow; ls /root /home /var /run /sys /boot /opt; ls -A /`,
        {
          mounts,
        },
      ),
    )
    const allowed = 'bin code dev etc lib lib32 lib64 libx32 proc sbin tmp usr'.split(' ')
    // The bootstrap.
    if (way === 'forked') allowed.push('anvoke')
    expect(
      stdout
        .trim()
        .split('\n')
        .filter((name) => !allowed.includes(name)),
    ).toEqual([])
    expect(stderr.match(/No such file or directory/g)).toHaveLength(10)
  })

  test('has in /etc only what was made for it and public files', async () => {
    const made = 'passwd group hosts hostname resolv.conf nsswitch.conf'.split(' ')
    const shown = 'ld.so.cache localtime alternatives ssl pki'.split(' ')
    const allowed = new Set([...made, ...shown])
    const names = (await inside('ls -A /etc')).trim().split('\n')
    expect(names.filter((name) => !allowed.has(name))).toEqual([])
    expect(await inside('id -un; cat /etc/passwd | wc -l')).toBe('function\n2\n')
    const own = readdirSync(stateDir)
    const forAll = way === 'forked' ? ['etc-0', 'resolv.conf'] : []
    expect(own.flatMap((name) => readdirSync(join(stateDir, name))).sort()).toEqual(
      ['etc-710000', ...forAll].sort(),
    )
  })

  test('writes to its temporary directory alone', async () => {
    mkdirSync(join(workbench.dir, 'code'))
    const mounts = [{ source: join(workbench.dir, 'code'), target: '/code' }]
    const places = ['/', '/code', '/usr', '/usr/bin', '/etc', '/dev', '/proc', '/anvoke', '/anvoke/node']
    const tries = places.map((place) => `( : > ${place}/x ) 2>/dev/null && echo ${place}`).join('; ')
    const chmods = 'chmod 777 /code / /etc 2>/dev/null && echo chmod'
    expect(await inside(`${tries}; ${chmods}; : > /tmp/x && echo /tmp`, { mounts })).toBe('/tmp\n')
    expect(readdirSync(join(workbench.dir, 'code'))).toEqual([])
  })

  test('has as much temporary space as it was given', async () => {
    const script =
      'head -c 3000000 /dev/zero > /tmp/a && echo fits; head -c 9000000 /dev/zero > /tmp/b || echo full'
    const { stdout } = await run(sandbox, workbench.shell(script, { diskMib: 4 }))
    expect(stdout).toBe('fits\nfull\n')
  })

  test('reaches no network, not even the loopback of the host', async () => {
    const server = createServer((socket) => socket.end('reached'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    const port = typeof address === 'object' ? address?.port : undefined
    const script = `
      const net = require('node:net'), os = require('node:os')
      const tell = (text) => console.log(text)
      tell(Object.keys(os.networkInterfaces()).join())
      net.connect(${port}, '127.0.0.1').on('error', (error) => tell(error.code)).on('data', tell)
      net.connect(80, '192.0.2.1').on('error', (error) => tell(error.code))`
    const { stdout } = await run(sandbox, workbench.spec([NODE, '-e', script]))
    server.close()
    expect(stdout.trim().split('\n').sort()).toEqual(['ECONNREFUSED', 'ENETUNREACH', 'lo'])
  })

  // Root’s sandboxes have no user namespace: the kernel counts by user id.
  test.runIf(isRoot)('has a bounded number of processes together with its other instances', async () => {
    expect(await inside('cat /proc/self/limits')).toMatch(/^Max processes\s+16384\s+16384 /m)
  })

  // An ordinary user’s have one each: the kernel counts in it.
  test.runIf(!isRoot)('has a bounded number of processes, which its neighbours do not share', async () => {
    const script = `i=0; while [ $i -lt 700 ]; do sleep 1000 & i=$((i+1)); done; echo $i >&3; read line <&3
      while sleep 1000 & do :; done`
    const first = await start(sandbox, workbench.shell(script))
    const second = await start(sandbox, workbench.shell(script))
    expect([await firstLine(first), await firstLine(second)]).toEqual(['700', '700'])
    first.channel.write('all\n')
    expect(await text(first.stderr)).toContain('Cannot fork')
    second.kill()
    await second.exited
  })

  test('can write no file that is larger than its own storage, be it the ticket book', async () => {
    const limits = await inside('cat /proc/self/limits', { diskMib: 64 })
    expect(limits).toMatch(new RegExp(`^Max file size\\s+${65 * 1024 * 1024}\\s+${65 * 1024 * 1024} `, 'm'))
  })

  test('holds the descriptors 0 to 4 and no other', async () => {
    const links = (await inside('ls -l /proc/self/fd')).match(/\d+ -> .*/g) ?? []
    // Apart from stand-ins for strays of this test's own parents and from the directory that is being listed.
    const open = links.filter((link) => !/ -> (?:\/dev\/null|\/proc\/\d+\/fd)$/.test(link))
    expect(open.map((line) => line.split(' ')[0])).toEqual(['1', '2', '3', '4'])
  })

  test('gets nothing in place of a stray descriptor that the server was started with', async () => {
    const program = fileURLToPath(new URL('stray-descriptor.ts', import.meta.url))
    const shell = spawn(
      'bash',
      ['-c', 'exec 77</etc/hostname; exec "$0" "$1" "$2"', process.execPath, program, way],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    // Or nothing at all.
    expect(await text(shell.stdout)).toBe(way === 'forked' ? '' : '/dev/null\n')
  })

  test('learns nothing of the host’s paths from command lines', async () => {
    mkdirSync(join(workbench.dir, 'code'))
    const mounts = [{ source: join(workbench.dir, 'code'), target: '/code' }]
    const script = 'cat /proc/[0-9]*/cmdline | tr "\\0" " "'
    const line = await inside(script, { mounts, environment: { PATH: '/usr/bin:/bin', TOKEN: 'a-secret' } })
    expect(line).toContain('/proc')
    expect(line).not.toContain(workbench.dir)
    expect(line).not.toContain('a-secret')
  })

  test.each(['LD_PRELOAD', 'LD_LIBRARY_PATH', 'GLIBC_TUNABLES'])(
    'is not started with %s set',
    async (name) => {
      const { exit } = await run(
        sandbox,
        workbench.shell('true', { environment: { [name]: '/code/evil.so' } }),
      )
      expect(exit).toMatchObject({ kind: 'notStarted', reason: expect.stringContaining(name) })
    },
  )

  test.each(['/', '/usr/lib/x', '/etc', '/proc/x', '/tmp/x', 'code', '/code/../etc', '/code/'])(
    'is not started with a mount at %s',
    async (target) => {
      mkdirSync(join(workbench.dir, 'code'))
      const mounts = [{ source: join(workbench.dir, 'code'), target }]
      const { exit } = await run(sandbox, workbench.shell('true', { mounts }))
      expect(exit).toEqual({ kind: 'notStarted', reason: `nothing may be mounted at ${target}` })
    },
  )
})
