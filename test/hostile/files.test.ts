import { readFileSync, readlinkSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { describeHostile, expectAllRefused, type Ground } from './harness.ts'

/** Where the host keeps what no function may see; the ways there go through every link that a process has to its file system. */
function secretPlaces({ server }: Ground): string[] {
  const own = [server.dataDir, join(server.dataDir, 'anvoke.db'), join(server.dataDir, 'packages')]
  const host = [
    '/etc/shadow',
    '/root',
    '/home',
    '/var/log',
    '/run',
    '/sys/kernel',
    '/boot',
    import.meta.dirname,
    ...own,
  ]
  const ways = [
    '',
    '/proc/self/root',
    '/proc/1/root',
    '/proc/1/cwd',
    '/proc/self/cwd/../../..',
    '/code/../..',
    '/tmp/..',
  ]
  return ways.flatMap((way) => host.map((place) => way + place))
}

describeHostile('an attack on files', (ground) => {
  test('reads nothing of the host or the server, by whichever way', async () => {
    const node = `return triedEach(event, (path) => fs.statSync(path).isDirectory() ? fs.readdirSync(path) : fs.readFileSync(path, 'latin1'))`
    expectAllRefused(await ground().reported({ node }, { event: secretPlaces(ground()) }))
  })

  test('learns from its own first process neither variables, nor memory, nor paths of the host', async () => {
    const node = `return {
      environ: tried(() => fs.readFileSync('/proc/1/environ', 'latin1')),
      cmdline: tried(() => fs.readFileSync('/proc/1/cmdline', 'latin1')),
      memory: tried(() => fs.openSync('/proc/1/mem', 'r')),
      descriptors: tried(() => fs.readdirSync('/proc/1/fd')),
      maps: tried(() => fs.readFileSync('/proc/1/maps', 'latin1')),
      mounts: fs.readFileSync('/proc/self/mountinfo', 'latin1'),
    }`
    const { environ, cmdline, memory, descriptors, maps, mounts } = await ground().reported({ node })
    expectAllRefused({ memory, descriptors })
    const { dataDir, pid } = ground().server
    const variables = readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0')
    for (const told of [environ, cmdline, maps]) {
      expect(told).not.toContain(dataDir)
      expect(variables.filter((variable) => variable.length > 12 && told.includes(variable))).toEqual([])
    }
    expect(mounts).not.toContain('anvoke.db')
  })

  test('finds nothing of another function', async () => {
    await ground().deploy(
      'rich',
      {
        node: `fs.writeFileSync('/tmp/note', 'a secret note'); fs.writeFileSync('/dev/shm/note', 'a secret note'); return 'kept'`,
      },
      { environment: { TOKEN: 'a-secret-token' }, files: { 'secret.txt': 'a secret file' } },
    )
    expect((await ground().call('rich')).json).toBe('kept')
    const node = `
      const found = []
      const look = (dir, depth) => {
        let entries = []
        try { entries = fs.readdirSync(dir, { withFileTypes: true }) } catch { return }
        for (const entry of entries) {
          const path = dir + '/' + entry.name
          if (/^(?:secret.txt|note)$/.test(entry.name)) found.push(path)
          if (entry.isDirectory() && depth < 6 && !/^.(?:usr|proc|sys)$/.test(path)) look(path, depth + 1)
        }
      }
      look('', 0)
      const environments = fs.readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name))
        .map((pid) => tried(() => fs.readFileSync('/proc/' + pid + '/environ', 'latin1'))).join()
      return { found, shared: fs.readdirSync('/dev/shm'), tokens: /a-secret-token/.test(environments + Object.values(process.env)) }`
    expect(await ground().reported({ node })).toEqual({ found: [], shared: [], tokens: false })
    expect((await ground().call('rich')).json).toBe('kept')
  })

  test('writes nowhere but to what is its own', async () => {
    const node = `
      const places = ['/', '/code', '/usr', '/usr/bin', '/usr/lib', '/bin', '/etc', '/opt', '/var', '/dev', '/proc', '/sys', '/anvoke',
        '/proc/self/root', '/proc/1/root/etc', '/proc/self/fdinfo']
      const files = ['/code/index.js', '/usr/bin/env', '/etc/passwd', '/etc/hosts', '/etc/ld.so.cache', '/proc/sys/kernel/core_pattern', '/proc/sys/kernel/modprobe',
        '/proc/sys/vm/drop_caches', '/proc/sys/kernel/hostname', '/proc/sysrq-trigger', '/proc/1/oom_score_adj', '/sys/kernel/uevent_helper',
        '/sys/fs/cgroup/release_agent', '/dev/mem', '/dev/kmsg', '/dev/console', process.execPath]
      return {
        ...triedEach(places, (place) => fs.writeFileSync(place + '/planted', 'x')),
        ...triedEach(files, (file) => fs.writeFileSync(file, 'x')),
        ...triedEach(files.map((file) => 'chmod ' + file), (file) => fs.chmodSync(file.slice(6), 0o777)),
        ...triedEach(['/', '/usr', '/etc', '/code'].map((dir) => 'rename ' + dir), (dir) => fs.renameSync(dir.slice(7), '/tmp/taken')),
      }`
    expectAllRefused(await ground().reported({ node }))
  })

  test('has the usual devices and can make no other', async () => {
    const node = `
      const usual = 'console core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero'.split(' ')
      const made = ['/tmp/disk b 252 0', '/tmp/memory c 1 1', '/tmp/fuse c 10 229', '/dev/shm/kvm c 10 232']
      return {
        odd: fs.readdirSync('/dev').filter((name) => !usual.includes(name)),
        odder: fs.readdirSync('/dev', { withFileTypes: true, recursive: true }).filter((entry) => entry.isBlockDevice()).map(({ name }) => name),
        made: triedEach(made, (line) => {
          const [place, ...numbers] = line.split(' ')
          const { status, stderr } = spawnSync('/usr/bin/mknod', [place, ...numbers])
          if (status !== 0) throw Object.assign(new Error(), { code: String(stderr).trim() })
        }),
      }`
    const { odd, odder, made } = await ground().reported({ node })
    expect([odd, odder]).toEqual([[], []])
    expectAllRefused(made)
  })

  test('gains nothing by links out of /tmp, not even while they are swapped', async () => {
    const secret = await mkdtemp(join(tmpdir(), 'anvoke-secret-'))
    await writeFile(join(secret, 'file'), 'of the host', { mode: 0o644 })
    const python = `
import threading
seen, stop = set(), False
os.mkdir('/tmp/mine'); open('/tmp/mine/file', 'w').write('own')
def swap():
    while not stop:
        for target in (event['secret'], '/tmp/mine', '/proc/1/root' + event['secret']):
            os.symlink(target, '/tmp/next'); os.rename('/tmp/next', '/tmp/way')
swapper = threading.Thread(target=swap); swapper.start()
for _ in range(20_000):
    try: seen.add(open('/tmp/way/file').read())
    except OSError as error: seen.add(errno.errorcode[error.errno])
stop = True; swapper.join()
return {'seen': sorted(seen), 'linked': tried(lambda: os.link('/usr/bin/su', '/tmp/su')), 'code': tried(lambda: os.link('/code/index.py', '/tmp/code'))}`
    const { seen, ...links } = await ground().reported({ python }, { event: { secret } })
    await rm(secret, { recursive: true })
    expect(seen).toContain('own')
    expect(seen).not.toContain('of the host')
    expectAllRefused(links)
  })

  test('leaves nothing behind in the places of the host that functions’ files come from', async () => {
    const node = `
      fs.writeFileSync('/tmp/left-by-an-attack', 'x'); fs.writeFileSync('/dev/shm/left-by-an-attack', 'x')
      return fs.readlinkSync('/proc/self/exe')`
    await ground().reported({ node })
    const ofServer = `/proc/${ground().server.pid}/root`
    expect(readlinkSync(ofServer)).toBe('/')
    for (const dir of ['/tmp', '/dev/shm'])
      expect(() => readFileSync(join(dir, 'left-by-an-attack'))).toThrow('ENOENT')
  })
})
