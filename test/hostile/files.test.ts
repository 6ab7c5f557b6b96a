import { existsSync, readFileSync, readlinkSync } from 'node:fs'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { describeHostile, expectAllRefused, LANGUAGES, pythonIn, sourceIn, type Ground } from './harness.ts'

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
  test.each(LANGUAGES)(
    'in %s reads nothing of the host or the server, by whichever way',
    async (language) => {
      const attack = {
        node: `return triedEach(event, (path) => fs.statSync(path).isDirectory() ? fs.readdirSync(path) : fs.readFileSync(path, 'latin1'))`,
        python: `return tried_each(event, lambda path: os.listdir(path) if os.path.isdir(path) else read(path))`,
      }
      // Somebody with other privileges would see them: they are there.
      expect(['/etc/shadow', ground().server.dataDir].filter((place) => !existsSync(place))).toEqual([])
      expectAllRefused(await ground().reported(sourceIn(language, attack), { event: secretPlaces(ground()) }))
    },
  )

  test.each(LANGUAGES)(
    'in %s learns from its first process neither variables, nor memory, nor paths of the host',
    async (language) => {
      const attack = {
        node: `return {
          told: triedEach(event.told, (file) => fs.readFileSync('/proc/1/' + file, 'latin1')),
          opened: triedEach(event.opened, (file) => { fs.closeSync(fs.openSync('/proc/1/' + file, 'r')) }),
          links: triedEach(event.links, (link) => fs.readlinkSync('/proc/1/' + link)),
          descriptors: tried(() => fs.readdirSync('/proc/1/fd')) }`,
        python: `return {
          'told': tried_each(event['told'], lambda file: read('/proc/1/' + file)),
          'opened': tried_each(event['opened'], lambda file: os.close(os.open('/proc/1/' + file, os.O_RDONLY))),
          'links': tried_each(event['links'], lambda link: os.readlink('/proc/1/' + link)),
          'descriptors': tried(lambda: os.listdir('/proc/1/fd')) }`,
      }
      const event = {
        told: ['environ', 'cmdline', 'maps', 'smaps', 'auxv', 'stack', 'task/1/environ', 'task/1/maps'],
        opened: ['mem', 'task/1/mem', 'clear_refs', 'pagemap', 'syscall', 'personality'],
        links: ['exe', 'cwd', 'root', 'fd/0', 'fd/3', 'fd/5', 'task/1/root', 'task/1/fd/3'],
      }
      const { told, opened, links, descriptors } = await ground().reported(sourceIn(language, attack), {
        event,
      })
      expectAllRefused({ ...opened, ...links, descriptors })
      const { dataDir, pid } = ground().server
      const variables = readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0')
      for (const text of Object.values<string>(told)) {
        expect(text).not.toContain(dataDir)
        expect(variables.filter((variable) => variable.length > 12 && text.includes(variable))).toEqual([])
      }
    },
  )

  test.each(LANGUAGES)('in %s writes nowhere but to what is its own', async (language) => {
    const attack = {
      node: `return {
        ...triedEach(event.dirs, (dir) => fs.writeFileSync(dir + '/planted', 'x')),
        ...triedEach(event.settings, (file) => fs.writeFileSync(file, fs.readFileSync(file))),
        ...triedEach(event.files, (file) => fs.writeFileSync(file, 'x')),
        ...triedEach(event.files.map((file) => 'chmod ' + file), (line) => fs.chmodSync(line.slice(6), 0o777)),
        ...triedEach(event.dirs.map((dir) => 'rename ' + dir), (line) => fs.renameSync(line.slice(7), '/tmp/taken')),
        ...triedEach(event.files.map((file) => 'remove ' + file), (line) => fs.unlinkSync(line.slice(7))),
        exe: tried(() => fs.writeFileSync(process.execPath, 'x')) }`,
      python: `return (tried_each(event['dirs'], lambda dir: write(dir + '/planted')) | tried_each(event['files'], write)
        | tried_each(event['settings'], lambda file: write(file, read(file)))
        | tried_each(['chmod ' + file for file in event['files']], lambda line: os.chmod(line[6:], 0o777))
        | tried_each(['rename ' + dir for dir in event['dirs']], lambda line: os.rename(line[7:], '/tmp/taken'))
        | tried_each(['remove ' + file for file in event['files']], lambda line: os.unlink(line[7:]))
        | {'exe': tried(lambda: write(os.path.realpath(sys.executable))), 'library': tried(lambda: write(os.__file__))})`,
    }
    const dirs =
      '/ /code /usr /usr/bin /usr/lib /bin /etc /opt /var /dev /proc /sys /anvoke /anvoke/bootstrap ' +
      '/proc/self/root /proc/1/root/etc /proc/self/fdinfo /proc/1 /run /home /root'
    const files =
      '/code/index.js /code/index.py /usr/bin/env /etc/passwd /etc/hosts /etc/ld.so.cache /etc/resolv.conf ' +
      '/anvoke/bootstrap/bootstrap.js /anvoke/bootstrap/bootstrap.py ' +
      '/proc/sysrq-trigger /proc/1/oom_score_adj /sys/kernel/uevent_helper /sys/fs/cgroup/release_agent /dev/mem /dev/kmsg /dev/console'
    // What they hold already: another value may be refused for what it is, and one that is not would change the host.
    const settings =
      '/proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /proc/sys/kernel/hostname /proc/sys/kernel/randomize_va_space ' +
      '/proc/sys/vm/swappiness /proc/sys/net/ipv4/ip_forward'
    const event = { dirs: dirs.split(' '), files: files.split(' '), settings: settings.split(' ') }
    expectAllRefused(await ground().reported(sourceIn(language, attack), { event }))
  })

  test.each(LANGUAGES)('in %s has the usual devices and can make no other', async (language) => {
    const attack = {
      node: `
        const made = (line) => {
          const [place, ...numbers] = line.split(' ')
          const { status, stderr } = spawnSync('/usr/bin/mknod', [place, ...numbers])
          if (status !== 0) throw Object.assign(new Error(), { code: String(stderr).trim() })
        }
        return {
          top: fs.readdirSync('/dev'),
          block: fs.readdirSync('/dev', { withFileTypes: true, recursive: true }).filter((entry) => entry.isBlockDevice()).map(({ name }) => name),
          terminals: fs.readdirSync('/dev/pts'), made: triedEach(event, made) }`,
      python: `
def made(line):
    place, kind, major, minor = line.split()
    os.mknod(place, 0o666 | (stat.S_IFBLK if kind == 'b' else stat.S_IFCHR), os.makedev(int(major), int(minor)))
found = [os.path.join(root, name) for root, _, names in os.walk('/dev') for name in names]
return {'top': os.listdir('/dev'), 'block': [path for path in found if os.path.exists(path) and stat.S_ISBLK(os.stat(path).st_mode)],
    'terminals': os.listdir('/dev/pts'), 'made': tried_each(event, made)}`,
    }
    const event = [
      '/tmp/disk b 252 0',
      '/tmp/memory c 1 1',
      '/tmp/fuse c 10 229',
      '/dev/shm/kvm c 10 232',
      '/tmp/whiteout c 0 0',
    ]
    const { top, block, terminals, made } = await ground().reported(sourceIn(language, attack), { event })
    const usual = 'console core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero'
    expect(top.filter((name: string) => !usual.split(' ').includes(name))).toEqual([])
    expect([block, terminals]).toEqual([[], []])
    expectAllRefused(made)
  })

  test.each(LANGUAGES)('in %s keeps no file from others by a lease, its own included', async (language) => {
    // Where the server is an ordinary user the function owns, as the host sees it, what the server has laid out for all.
    const python = `
import fcntl
DN_CREATE, F_SETDELEG = 4, 1040
def files():
    yield '/tmp/own'
    for top in ('/anvoke', '/code', '/etc'):
        for root, _, names in os.walk(top): yield from (os.path.join(root, name) for name in names)
def commanded(path, command, value):
    file = os.open(path, os.O_RDONLY)
    try: fcntl.fcntl(file, command, value)
    finally: os.close(file)
write('/tmp/own')
readable = [path for path in files() if os.path.isfile(path) and os.access(path, os.R_OK)]
return {'count': len(readable), 'write': tried_each(readable, lambda path: commanded(path, fcntl.F_SETLEASE, fcntl.F_WRLCK)), 'read': tried_each(readable, lambda path: commanded(path, fcntl.F_SETLEASE, fcntl.F_RDLCK)),
    'others': {'notices': tried(lambda: commanded('/tmp', fcntl.F_NOTIFY, DN_CREATE)), 'delegation': tried(lambda: commanded('/tmp/own', F_SETDELEG, bytes(8)))}}`
    const told = await ground().reported(pythonIn(language, python))
    expect(told.count).toBeGreaterThan(5)
    for (const tries of [told.write, told.read, told.others]) expectAllRefused(tries)
    expect(told.write['/tmp/own']).toBe('refused EPERM')
  })

  test('gains nothing by links out of /tmp, not even while they are swapped', async () => {
    const secret = await mkdtemp(join(tmpdir(), 'anvoke-secret-'))
    // What keeps it from the function is that it is not there, not its mode.
    await chmod(secret, 0o755)
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
tries = 0
while tries < 20_000 or 'own' not in seen:
    tries += 1
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

  test.each(LANGUAGES)(
    'in %s leaves nothing behind in the places of the host that functions’ files come from',
    async (language) => {
      const name = `left-by-an-attack-in-${language}`
      const attack = {
        node: `for (const dir of ['/tmp', '/dev/shm']) fs.writeFileSync(dir + '/' + event, 'x')`,
        python: `for dir in ('/tmp', '/dev/shm'): write(dir + '/' + event)`,
      }
      const attacker = await ground().settle(sourceIn(language, attack))
      await ground().call(attacker.name, name)
      expect(readlinkSync(`/proc/${ground().server.pid}/root`)).toBe('/')
      const places = ['/tmp', '/dev/shm'].map((dir) => join(dir, name))
      // While it lives and once it is gone.
      expect(places.filter((place) => existsSync(place))).toEqual([])
      await ground().dismiss(attacker)
      expect(places.filter((place) => existsSync(place))).toEqual([])
    },
  )
})
