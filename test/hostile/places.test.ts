import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { chown, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { canInstall, Prefix } from '../helpers/prefix.ts'
import { describeHostile, LANGUAGES, sourceIn, type Ground } from './harness.ts'

const LAUNCHER = join(import.meta.dirname, '../../bin/anvoke.js')

// The servers of this file keep their data below it, as one does whose home is the prefix of a Python. Not below /tmp, which a function
// has for itself.
const prefix = canInstall ? new Prefix('/var/tmp') : undefined
const temporaryDir = process.env['TMPDIR']
if (prefix !== undefined) process.env['TMPDIR'] = prefix.dir
afterAll(() => {
  if (temporaryDir === undefined) delete process.env['TMPDIR']
  else process.env['TMPDIR'] = temporaryDir
  prefix?.remove()
})

const secrets = ({ server }: Ground): string[] =>
  ['credentials.json', 'anvoke.db', 'control.sock', '.'].map((name) => join(server.dataDir, name))

const attack = {
  node: `
    const told = triedEach(event, (path) => fs.statSync(path).isDirectory() ? fs.readdirSync(path) : fs.readFileSync(path, 'latin1'))
    return { ...told, socket: await connected({ path: event[2] }), program: process.execPath }`,
  python: `
told = tried_each(event, lambda path: os.listdir(path) if os.path.isdir(path) else read(path))
def reach():
    with socket.socket(socket.AF_UNIX) as door: door.connect(event[2])
return told | {'socket': tried(reach), 'program': sys.executable, 'isForked': os.getppid() == 0}`,
}

async function expectNothingSeen(
  ground: Ground,
  language: (typeof LANGUAGES)[number],
  forks: boolean,
): Promise<void> {
  const event = secrets(ground)
  expect(event.filter((place) => !existsSync(place))).toEqual([])
  const { program, isForked = false, ...told } = await ground.reported(sourceIn(language, attack), { event })
  const missing = Object.fromEntries([...event, 'socket'].map((name) => [name, 'refused ENOENT']))
  expect(told).toEqual(missing)
  expect(isForked).toBe(forks)
  expect(program).toBe(language === 'python' ? (prefix?.python ?? program) : program)
}

const named = prefix === undefined ? {} : { ANVOKE_PYTHON_PATH: prefix.python }

describeHostile(
  'an attack on keys and control socket',
  (ground) => {
    test.each(LANGUAGES)(
      'in %s finds neither, though they lie below the prefix of its Python',
      async (language) => {
        await expectNothingSeen(ground(), language, language === 'python')
      },
    )

    // Needs a Python that can be installed below the data.
    test.runIf(canInstall)('has no ground where the data would lie in what functions see', async () => {
      if (prefix === undefined) throw new Error('there is no Python to install')
      const { serverUid } = ground()
      const open = join(prefix.library, `open-${serverUid}`)
      await mkdir(open, { recursive: true })
      await chown(open, serverUid, serverUid)
      const isOther = serverUid !== process.getuid?.()
      const user = isOther
        ? ['setpriv', `--reuid=${serverUid}`, `--regid=${serverUid}`, '--clear-groups', '--']
        : []
      const start = (dataDir: string): { status: number | null; stderr: string } => {
        const flags = ['serve', '--listen', '127.0.0.1:0', '--sandbox', 'bwrap', '--data', dataDir]
        const [program = '', ...args] = [...user, process.execPath, LAUNCHER, ...flags]
        // A server that is not refused goes on: it is ended.
        return spawnSync(program, args, {
          cwd: '/',
          encoding: 'utf8',
          env: { PATH: process.env['PATH'], HOME: prefix.dir, ...named },
          timeout: 30_000,
        })
      }
      const inLibrary = start(join(open, 'data'))
      expect(inLibrary.stderr).toContain('which no function may see')
      expect(inLibrary.status).toBe(2)
      expect(readdirSync(open)).toEqual([])
      // Nothing can be made there, by whomever.
      const inUsr = start('/usr/bin/env/data')
      expect(inUsr.stderr).toMatch(/it lies in \/usr, which every function sees[^]*--data/)
      expect(inUsr.status).toBe(1)
    })
  },
  named,
)

describeHostile(
  'an attack on keys and control socket by processes that are not forked',
  (ground) => {
    test('finds neither', async () => {
      await expectNothingSeen(ground(), 'python', false)
    })
  },
  { ...named, ANVOKE_STEMS_PER_CLASS: '0' },
)
