import { expect, test } from 'vitest'
import { describeHostile, expectAllRefused, LANGUAGES, sourceIn, type Ground } from './harness.ts'

/** What one function keeps in every place that processes could share. Its instance lives on. */
const KEEPS = {
  node: `
    if (globalThis.kept !== undefined) return 'still'
    for (const dir of ['/tmp', '/dev/shm']) fs.writeFileSync(dir + '/note', 'a secret note', { mode: 0o666 })
    globalThis.kept = 'a-secret-in-memory'.split('-')
    await new Promise((resolve) => (globalThis.service = net.createServer()).listen('\\0anvoke-note', resolve))
    return 'kept'`,
  python: `
global kept, service
if 'kept' in globals(): return 'still'
for dir in ('/tmp', '/dev/shm'):
    write(dir + '/note'); os.chmod(dir + '/note', 0o666)
service = socket.socket(socket.AF_UNIX); service.bind('\\0anvoke-note'); service.listen()
IPC_CREAT = 0o1000
kept = [kernel(*call) for call in (('shmget', 7471, 4096, IPC_CREAT | 0o666), ('semget', 7471, 1, IPC_CREAT | 0o666), ('msgget', 7471, IPC_CREAT | 0o666),
    ('mq_open', ctypes.c_char_p(b'anvoke-note'), os.O_CREAT | os.O_RDWR, 0o666, 0))]
return 'kept'`,
}

/** What another function finds of it. */
const LOOKS = {
  node: `
    const found = []
    const look = (dir, depth) => {
      let entries = []
      try { entries = fs.readdirSync(dir, { withFileTypes: true }) } catch { return }
      for (const entry of entries) {
        const path = dir + '/' + entry.name
        if (/^(?:secret.txt|note)$|^planted-by/.test(entry.name)) found.push(path)
        if (entry.isDirectory() && depth < 6 && !/^.(?:usr|proc|sys)$/.test(path)) look(path, depth + 1)
      }
    }
    look('', 0)
    const environments = fs.readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name))
      .map((pid) => tried(() => fs.readFileSync('/proc/' + pid + '/environ', 'latin1'))).join()
    return {
      found, shared: fs.readdirSync('/dev/shm'), terminals: fs.readdirSync('/dev/pts').filter((name) => name !== 'ptmx'),
      tokens: /a-secret-token/.test(environments + Object.values(process.env)),
      sockets: fs.readFileSync('/proc/net/unix', 'latin1').includes('anvoke-note'),
      segments: ['shm', 'sem', 'msg'].map((kind) => fs.readFileSync('/proc/sysvipc/' + kind, 'latin1').trim().split('\\n').length - 1),
      tries: { socket: await connected({ path: '\\0anvoke-note' }) } }`,
  python: `
import re
found = []
for root, dirs, names in os.walk('/'):
    if root == '/': dirs[:] = [name for name in dirs if name not in ('usr', 'proc', 'sys')]
    found += [os.path.join(root, name) for name in names + dirs if re.match('(secret.txt|note)$|planted-by', name)]
environments = ''.join(str(tried(lambda: read('/proc/%s/environ' % pid))) for pid in os.listdir('/proc') if pid.isdigit())
def listens():
    plain = socket.socket(socket.AF_UNIX)
    plain.connect('\\0anvoke-note')
return {
    'found': found, 'shared': os.listdir('/dev/shm'), 'terminals': [name for name in os.listdir('/dev/pts') if name != 'ptmx'],
    'tokens': 'a-secret-token' in environments + str(dict(os.environ)), 'sockets': 'anvoke-note' in read('/proc/net/unix'),
    'segments': [len(read('/proc/sysvipc/' + kind).strip().split('\\n')) - 1 for kind in ('shm', 'sem', 'msg')],
    'tries': {'socket': tried(listens), 'memory': kernel('shmget', 7471, 0, 0), 'semaphores': kernel('semget', 7471, 0, 0), 'messages': kernel('msgget', 7471, 0),
        'queue': kernel('mq_open', ctypes.c_char_p(b'anvoke-note'), os.O_RDWR, 0, 0)} }`,
}

const NOTHING = { found: [], shared: [], terminals: [], tokens: false, sockets: false, segments: [0, 0, 0] }

/** Puts a file into every directory that is seen, wherever that works. */
const PLANTS = {
  node: `
    const planted = []
    const plant = (dir, depth) => {
      let entries = []
      try { entries = fs.readdirSync(dir || '/', { withFileTypes: true }) } catch {}
      if (tried(() => fs.writeFileSync(dir + '/planted-by-node', 'x')) === 'done') planted.push(dir)
      if (depth < 5) for (const entry of entries)
        if (entry.isDirectory() && !/^.(?:usr.(?:share|lib|include)|proc.(?!self$|sys$)|sys)/.test(dir + '/' + entry.name)) plant(dir + '/' + entry.name, depth + 1)
    }
    plant('', 0)
    return planted`,
  python: `
planted = []
for root, dirs, names in os.walk('/'):
    dirs[:] = [name for name in dirs if os.path.join(root, name) not in ('/usr/share', '/usr/lib', '/usr/include', '/sys') and (root != '/proc' or name in ('self', 'sys'))]
    if tried(lambda: write(os.path.join(root, 'planted-by-python'))) == 'done': planted.append(root)
return planted`,
}

interface MountLine {
  readonly root: string
  readonly place: string
  readonly options: readonly string[]
  readonly optional: string
}

/** Lines of proc(5), mountinfo. */
function mountsIn(mountinfo: string): MountLine[] {
  return mountinfo
    .trim()
    .split('\n')
    .map((line) => {
      const [own = ''] = line.split(' - ')
      const [, , , root = '', place = '', options = '', ...optional] = own.split(' ')
      return { root, place, options: options.split(','), optional: optional.join(' ') }
    })
}

/** A function that keeps secrets in every place that could be shared, with a living instance. */
async function settleRich(ground: Ground, name: string, language: (typeof LANGUAGES)[number]): Promise<void> {
  const settings = { environment: { TOKEN: 'a-secret-token' }, files: { 'secret.txt': 'a secret file' } }
  await ground.deploy(name, sourceIn(language, KEEPS), settings)
  expect((await ground.call(name)).json).toBe('kept')
}

describeHostile('what functions could share', (ground) => {
  test.each(LANGUAGES)('in %s is nothing that another one keeps', async (language) => {
    const rich = `rich-${language}`
    await settleRich(ground(), rich, language)
    const { tries, ...found } = await ground().reported(sourceIn(language, LOOKS))
    expect(found).toEqual(NOTHING)
    expectAllRefused(tries)
    // Its instance is still the same: it has them.
    expect((await ground().call(rich)).json).toBe('still')
  })

  test.each(LANGUAGES)('in %s is no place to leave something for another', async (language) => {
    const planter = await ground().settle(sourceIn(language, PLANTS))
    const planted: readonly string[] = (await ground().call(planter.name)).json
    expect(planted).toEqual(expect.arrayContaining(['/tmp', '/dev/shm']))
    expect(planted.filter((dir) => !/^\/(?:tmp|dev\/shm|dev\/mqueue)(?:\/|$)/.test(dir))).toEqual([])
    const { found } = await ground().reported(sourceIn(language, LOOKS))
    expect(found).toEqual([])
    await ground().dismiss(planter)
  })

  test.each(LANGUAGES)(
    'in %s are no mounts that either can write or that pass on mounts',
    async (language) => {
      const attack = {
        node: `return fs.readFileSync('/proc/self/mountinfo', 'latin1')`,
        python: `return read('/proc/self/mountinfo')`,
      }
      const { dataDir } = ground().server
      const mounts = mountsIn(await ground().reported(sourceIn(language, attack)))
      const writable = mounts.filter(({ options }) => options.includes('rw')).map(({ place }) => place)
      const own =
        /^\/(?:tmp|dev\/(?:shm|pts|mqueue)|proc|dev\/(?:null|zero|full|random|urandom|tty|console))$/
      expect(writable.filter((place) => !own.test(place))).toEqual([])
      expect(mounts.filter(({ optional }) => optional.includes('shared'))).toEqual([])
      const unsafe = mounts.filter(({ options }) => !options.includes('nosuid') || !options.includes('nodev'))
      expect(unsafe.filter(({ place }) => !place.startsWith('/dev/') && place !== '/proc')).toEqual([])
      // Of the server’s data only its own code and what runs it, which all have.
      const ofServer = mounts.filter(({ root }) => root.includes(dataDir.split('/').slice(-2).join('/')))
      const places = ofServer.map(({ place }) => place)
      expect(places).toContain('/code')
      expect(places.filter((place) => place !== '/code' && !place.startsWith('/anvoke/'))).toEqual([])
    },
  )

  test.each(LANGUAGES)('in %s is no user id', async (language) => {
    const attack = { node: `return process.getuid()`, python: `return os.getuid()` }
    const source = sourceIn(language, attack)
    const both = [await ground().settle(source), await ground().settle(source)]
    const ids = await Promise.all(both.map(async ({ name }) => (await ground().call(name)).json))
    await Promise.all(both.map((attacker) => ground().dismiss(attacker)))
    expect(new Set(ids).size).toBe(2)
  })

  test.each(LANGUAGES)('in %s is no randomness', async (language) => {
    const attack = {
      node: `return [Math.random(), require('node:crypto').randomUUID(), crypto.getRandomValues(new Uint32Array(4)).join()]`,
      python: `
import random, secrets, tempfile, uuid, ssl
return [random.random(), random.getrandbits(64), secrets.token_hex(), str(uuid.uuid4()), next(tempfile._get_candidate_names()), ssl.RAND_bytes(16).hex(), os.urandom(8).hex()]`,
    }
    const source = sourceIn(language, attack)
    const [first, second] = [await ground().reported(source), await ground().reported(source)]
    expect(first.filter((value: unknown, index: number) => second[index] === value)).toEqual([])
  })
})
