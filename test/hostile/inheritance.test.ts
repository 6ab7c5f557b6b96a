import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { KERNEL_LIMITS } from '../../src/sandbox/bwrap/arguments.ts'
import { KEY_SECRET } from '../helpers/server.ts'
import { describeHostile, expectAllRefused, LANGUAGES, sourceIn } from './harness.ts'

const NO_CAPABILITY = '0000000000000000'
const ID_MAX = 4_294_967_295
/** What stands for a group without a number in the user namespace. */
const OVERFLOW_GID = Number(readFileSync('/proc/sys/kernel/overflowgid', 'latin1'))

/** Members of `/proc/self/status`, and of `stat` what tells session, group and terminal. */
const TELLS = {
  node: `
    const lines = fs.readFileSync('/proc/self/status', 'latin1').trim().split('\\n').map((line) => line.split(/:\\s*/))
    const stat = fs.readFileSync('/proc/self/stat', 'latin1')
    const [, , group, session, terminal] = stat.slice(stat.lastIndexOf(')') + 2).split(' ').map(Number)
    return { status: Object.fromEntries(lines), group, session, terminal, limits: fs.readFileSync('/proc/self/limits', 'latin1'), environment: process.env,
      told: ['environ', 'cmdline', 'auxv'].map((file) => fs.readFileSync('/proc/self/' + file, 'latin1')), cwd: process.cwd(), pid: process.pid }`,
  python: `
import re
lines = dict(re.split(':\\\\s*', line, maxsplit=1) for line in read('/proc/self/status').strip().split('\\n'))
group, session, terminal = map(int, read('/proc/self/stat').rsplit(')', 1)[1].split()[2:5])
return {'status': lines, 'group': group, 'session': session, 'terminal': terminal, 'limits': read('/proc/self/limits'), 'environment': dict(os.environ),
    'told': [read('/proc/self/' + file) for file in ('environ', 'cmdline', 'auxv')], 'cwd': os.getcwd(), 'pid': os.getpid()}`,
}

/** Looks for what the event names in all of its own memory that can be written; the names come in two parts, not to be found themselves. */
const SEARCHES = {
  node: `
    const patterns = event.map(([head, tail]) => new RegExp('[' + head + ']' + tail))
    const memory = fs.openSync('/proc/self/mem', 'r'), block = Buffer.alloc(1024 * 1024)
    const found = new Set(['searched'])
    for (const line of fs.readFileSync('/proc/self/maps', 'latin1').split('\\n')) {
      const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line) ?? []
      if (from === undefined || /vvar|vsyscall/.test(line)) continue
      for (let at = parseInt(from, 16); at < parseInt(to, 16); at += block.length - 256) {
        const size = tried(() => fs.readSync(memory, block, 0, Math.min(block.length, parseInt(to, 16) - at), at))
        if (typeof size !== 'number') break
        const text = block.latin1Slice(0, size)
        patterns.forEach((pattern, index) => { if (pattern.test(text)) found.add(index) })
      }
    }
    return [...found]`,
  python: `
import re
patterns = [re.compile(('[%s]%s' % (head, tail)).encode()) for head, tail in event]
found = {'searched'}
memory = os.open('/proc/self/mem', os.O_RDONLY)
for line in read('/proc/self/maps').split('\\n'):
    given = re.match('([0-9a-f]+)-([0-9a-f]+) rw', line)
    if not given or 'vvar' in line: continue
    start, end = (int(part, 16) for part in given.groups())
    for at in range(start, end, 1024 * 1024):
        try: block = os.pread(memory, min(1024 * 1024 + 256, end - at), at)
        except (OSError, OverflowError): break
        found |= {index for index, pattern in enumerate(patterns) if pattern.search(block)}
return list(found)`,
}

/** Numbers of the line `Groups` of proc(5), status. */
function groupsOf(line: string): number[] {
  return line.split(/\s+/).filter(Boolean).map(Number)
}

function groupsOfProcess(pid: number): number[] {
  return groupsOf(/^Groups:(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? '')
}

/** Descriptors from 3 on that a runtime opens for itself: of the kernel, its own code and its own process. */
const OWN_DESCRIPTORS =
  /^(?:anon_inode:\[(?:eventpoll|eventfd|timerfd|signalfd)\]|pipe:\[\d+\]|\/dev\/null|\/proc\/\d+\/.*|\/code\/.*)$/

describeHostile('what a process has from the one that made it', (ground) => {
  test('comes in Python from an interpreter that was prepared, which the attacks here are for', async () => {
    const attacker = await ground().settle({ python: `return 'nothing'` })
    await ground().dismiss(attacker)
    expect(attacker.isForked).toBe(true)
  })

  test.each(LANGUAGES)('is in %s no privilege, group, terminal or blocked signal', async (language) => {
    const { status, group, session, terminal, cwd } = await ground().reported(sourceIn(language, TELLS))
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb', 'SigBlk', 'ShdPnd', 'SigPnd'])
      expect([set, status[set]]).toEqual([set, NO_CAPABILITY])
    expect(status).toMatchObject({ NoNewPrivs: '1', Seccomp: '2', TracerPid: '0' })
    // One filter: a second one would cost every call.
    expect(status.Seccomp_filters ?? '1').toBe('1')
    const ids: number[] = [...status.Uid.split('\t'), ...status.Gid.split('\t')].map(Number)
    expect(ids.filter((id) => id < 1000 || id === ground().serverUid || id === ID_MAX)).toEqual([])
    expect(new Set(ids).size).toBe(1)
    // Root gives its groups up. Nobody else may, but has none by its number then: what the kernel shows of a group outside of a user
    // namespace is the overflow id. Only the server's own group, which may be in the list too, has a number inside.
    const ownGid = ids.at(-1) ?? ID_MAX
    const groups = groupsOf(status.Groups)
    const ofServer = ground().serverUid === 0 ? [] : groupsOfProcess(ground().server.pid)
    expect(groups.filter((id) => id !== OVERFLOW_GID)).toEqual(ofServer.includes(ownGid) ? [ownGid] : [])
    expect(groups.length).toBe(ofServer.length)
    expect(terminal).toBe(0)
    // Zero: one that is led from outside of its namespace, which it could signal.
    expect([group, session]).not.toContain(0)
    expect(cwd).toBe('/code')
  })

  test.each(LANGUAGES)('is in %s bounded in everything that the kernel bounds', async (language) => {
    const { limits } = await ground().reported(sourceIn(language, TELLS))
    const hard = new Map<string, number>(
      String(limits)
        .split('\n')
        .flatMap((line) => {
          const [, name = '', , most = ''] = /^(Max .+?)\s{2,}(\S+)\s+(\S+)/.exec(line) ?? []
          return name === '' ? [] : [[name, most === 'unlimited' ? Infinity : Number(most)] as const]
        }),
    )
    for (const name of ['Max core file size', 'Max nice priority', 'Max realtime priority'])
      expect([name, hard.get(name)]).toEqual([name, 0])
    const bounds = {
      // 65 536, or what the host allows where that is less.
      'Max open files': KERNEL_LIMITS.openFiles,
      'Max pending signals': 16_384,
      'Max msgqueue size': 819_200,
      'Max locked memory': 8 * 1024 * 1024,
      'Max processes': 16_384,
    }
    for (const [name, most] of Object.entries(bounds))
      expect([name, (hard.get(name) ?? Infinity) <= most]).toEqual([name, true])
    expect(hard.get('Max file size')).toBeLessThan(2 ** 30)
  })

  test.each(LANGUAGES)('is in %s an environment of its own, wherever it is looked up', async (language) => {
    const { environment, told } = await ground().reported(sourceIn(language, TELLS), {
      environment: { GIVEN: 'by its owner' },
    })
    expect(environment.GIVEN).toBe('by its owner')
    const { pid, dataDir } = ground().server
    const ofServer = readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').filter(Boolean)
    const all = [...Object.entries(environment).map((entry) => entry.join('=')), ...told].join(' ')
    const few = /^(?:PATH|LANG|TZ|HOME|LC_ALL)=/
    expect(ofServer.filter((variable) => !few.test(variable) && all.includes(variable))).toEqual([])
    for (const secret of [KEY_SECRET, dataDir, 'of the neighbour', 'ANVOKE_SANDBOX'])
      expect(all).not.toContain(secret)
  })

  test.each(LANGUAGES)('holds in %s no secret of the server or another in its memory', async (language) => {
    await ground().expectNeighbourWell()
    const secrets = [KEY_SECRET, 'of the neighbour', `ANVOKE_ACCOUNT_ID=`, 'planted in its own memory']
    const event = secrets.map((secret) => [secret.slice(0, 1), secret.slice(1)])
    const attack = {
      node: `globalThis.own = Buffer.from('planted', 'latin1').toString('latin1') + ' in its own memory'; globalThis.kept = Buffer.from(own)\n${SEARCHES.node}`,
      python: `global own\nown = bytearray(b'planted'); own += b' in its own memory'\n${SEARCHES.python}`,
    }
    const found = await ground().reported(sourceIn(language, attack), { event })
    // The last one shows that the search finds.
    expect(new Set(found)).toEqual(new Set(['searched', 3]))
  })

  test.each(LANGUAGES)('are in %s the documented descriptors and no other', async (language) => {
    const attack = {
      node: `return Object.fromEntries(fs.readdirSync('/proc/self/fd').map((name) => [name, tried(() => fs.readlinkSync('/proc/self/fd/' + name))]))`,
      python: `return {name: tried(lambda: os.readlink('/proc/self/fd/' + name)) for name in os.listdir('/proc/self/fd')}`,
    }
    const links: Record<string, string> = await ground().reported(sourceIn(language, attack))
    const { 0: input, 1: output, 2: complaints, 3: channel, 4: tickets, ...others } = links
    expect([input, output, complaints, channel, tickets]).toEqual([
      '/dev/null',
      expect.stringMatching(/^socket:|^pipe:/),
      expect.stringMatching(/^socket:|^pipe:/),
      expect.stringMatching(/^socket:/),
      // Without a name from the first.
      expect.stringMatching(/^\/.*#\d+ \(deleted\)$/),
    ])
    const odd = Object.entries(others).filter(
      // The one that the list was read with is closed by then.
      ([, link]) => !OWN_DESCRIPTORS.test(link) && link !== channel && link !== 'refused ENOENT',
    )
    expect(odd).toEqual([])
  })

  test.each(LANGUAGES)('lead in %s nowhere by another name', async (language) => {
    const attack = {
      node: `
        const names = fs.readdirSync('/proc/self/fd')
        return { ...triedEach(names.map((name) => '/proc/self/fd/' + name + '/..'), (path) => fs.readdirSync(path)),
          tickets: tried(() => fs.openSync('/proc/self/fd/4', 'r+')), channel: tried(() => fs.openSync('/proc/self/fd/3', 'r+')),
          made: tried(() => fs.linkSync('/proc/self/fd/4', '/tmp/tickets')) }`,
      python: `
AT_EMPTY_PATH, AT_SYMLINK_FOLLOW = 0x1000, 0x400
def linked():
    if libc.linkat(4, b'', -100, b'/tmp/tickets', AT_EMPTY_PATH) < 0: raise OSError(ctypes.get_errno(), '')
return tried_each(['/proc/self/fd/%s/..' % name for name in os.listdir('/proc/self/fd')], os.listdir) | {
    'tickets': tried(lambda: os.open('/proc/self/fd/4', os.O_RDWR)), 'channel': tried(lambda: os.open('/proc/self/fd/3', os.O_RDWR)),
    'linked': tried(linked), 'followed': tried(lambda: os.link('/proc/self/fd/4', '/tmp/own', follow_symlinks=True)), 'parent': tried(lambda: os.open('..', os.O_RDONLY, dir_fd=4))}`,
    }
    expectAllRefused(await ground().reported(sourceIn(language, attack)))
  })

  test.each(LANGUAGES)('in %s, a signal to its group reaches none but its own', async (language) => {
    const attack = {
      node: `process.kill(0, 'SIGTERM'); process.kill(0, 'SIGKILL')`,
      python: `signal.signal(signal.SIGTERM, signal.SIG_IGN); os.kill(0, signal.SIGTERM); os.kill(0, signal.SIGKILL)`,
    }
    const { pid } = ground().server
    expect((await ground().attack(sourceIn(language, attack))).errorType).toBe('UnhandledInvocationError')
    expect(ground().server.pid).toBe(pid)
  })
})
