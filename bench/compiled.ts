// What compiling ahead saves a first call: `node bench/compiled.ts [rounds]`. The same functions take turns with and without what the
// server has compiled of them, each in a new process that was not started ahead; see README.md.
import { existsSync, readdirSync, readFileSync, rmSync, mkdtempSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createDependencies } from './cold/stage.ts'
import type { FunctionSettings } from './fc.ts'
import { killAll, stopAll } from './process.ts'
import { median } from './statistics.ts'
import { createAnvoke, type RunningAnvoke } from './systems/anvoke.ts'

const MODULES = fileURLToPath(new URL('../node_modules/', import.meta.url))
const PACKAGE = '@alicloud/fc-open20210406'
const rounds = Number(process.argv[2] ?? 15)
const signal = AbortSignal.timeout(600_000)
const directory = mkdtempSync(join(tmpdir(), 'anvoke-bench-'))
process.once('exit', () => {
  killAll()
  rmSync(directory, { recursive: true, force: true })
})

interface Case {
  readonly name: string
  readonly settings: Pick<FunctionSettings, 'runtime' | 'source' | 'files'>
}

const dependencies = createDependencies()
const nodeHandler = 'exports.handler = (event, context, callback) => callback(null, event)\n'
const cases: readonly Case[] = [
  {
    name: 'Node.js, 5 MB of dependencies in 300 modules',
    settings: { runtime: 'nodejs26', source: dependencies.load + nodeHandler, files: dependencies.files },
  },
  {
    name: `Node.js, ${PACKAGE}`,
    settings: {
      runtime: 'nodejs26',
      source: `require('${PACKAGE}')\n${nodeHandler}`,
      files: packageFiles(PACKAGE),
    },
  },
  {
    name: 'Python, 0.5 MB of dependencies in 300 modules',
    settings: { runtime: 'python3', ...pythonDependencies() },
  },
]

try {
  const server = await createAnvoke(directory).start(signal, {
    flags: ['--sandbox', 'bwrap', '--stems-per-class', '0'],
  })
  await server.client.createService(server.service)
  const times = cases.map(() => ({ with: [] as number[], without: [] as number[] }))
  for (let round = 0; round < rounds; round += 1)
    for (const [index, { settings }] of cases.entries())
      // Who is first changes from round to round.
      for (const kind of round % 2 === 0 ? (['with', 'without'] as const) : (['without', 'with'] as const))
        times[index]?.[kind].push(await firstCall(server, settings, `f-${round}-${index}-${kind}`, kind))
  for (const [index, { name }] of cases.entries()) {
    const [compiled, plain] = [median(times[index]?.with ?? []), median(times[index]?.without ?? [])]
    const ratio = median((times[index]?.with ?? []).map((ms, at) => ms / (times[index]?.without[at] ?? NaN)))
    console.log(
      `${name}: ${compiled.toFixed(1)} ms, not compiled ${plain.toFixed(1)} ms, ratio ${ratio.toFixed(2)}`,
    )
  }
} finally {
  await stopAll()
}
process.exit(0)

async function firstCall(
  server: RunningAnvoke,
  settings: Case['settings'],
  functionName: string,
  kind: 'with' | 'without',
): Promise<number> {
  const known = new Set(made(server))
  const source = `${settings.source}${settings.runtime === 'python3' ? '#' : '//'} ${functionName}\n`
  await server.client.createFunction(server.service, { ...settings, functionName, source })
  const key = await compiledKey(server, known)
  if (kind === 'without') forget(join(server.dataDir, 'compiled', key))
  await delay(150, undefined, { signal })
  const body = Buffer.from('"hello"')
  const startedAtMs = performance.now()
  const answer = await server.client.invoke(server.service, functionName, body)
  const elapsedMs = performance.now() - startedAtMs
  if (!answer.toString().includes('hello')) throw new Error(`${functionName} answered ${answer.toString()}`)
  await server.client.deleteFunction(server.service, functionName)
  return elapsedMs
}

function made({ dataDir }: RunningAnvoke): readonly string[] {
  return readdirSync(join(dataDir, 'compiled')).filter((name) => !name.startsWith('.'))
}

async function compiledKey(server: RunningAnvoke, known: ReadonlySet<string>): Promise<string> {
  for (;;) {
    const key = made(server).find((name) => !known.has(name))
    if (key !== undefined) return key
    await delay(20, undefined, { signal })
  }
}

/** Takes away what was compiled, so that the function starts as if nothing ever had been. */
function forget(directory: string): void {
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true }))
    if (entry.isDirectory() && (entry.name === '__pycache__' || /^v\d/.test(entry.name)))
      rmSync(join(entry.parentPath, entry.name), { recursive: true })
}

/** A package and everything that it needs, as a deployment would hold it. */
function packageFiles(name: string, files = new Map<string, string>()): ReadonlyMap<string, string> {
  const prefix = `node_modules/${name}/`
  if (files.has(`${prefix}package.json`)) return files
  const root = join(MODULES, name)
  // Others bring it along in a folder of their own.
  if (!existsSync(root)) return files
  for (const path of readdirSync(root, { recursive: true, encoding: 'utf8' }))
    if (/\.(?:js|cjs|mjs|json)$/.test(path) && statSync(join(root, path)).isFile())
      files.set(prefix + path, readFileSync(join(root, path), 'utf8'))
  const { dependencies: needed = {} }: { dependencies?: Record<string, string> } = JSON.parse(
    files.get(`${prefix}package.json`) ?? '{}',
  )
  for (const other of Object.keys(needed)) packageFiles(other, files)
  return files
}

function pythonDependencies(): { readonly source: string; readonly files: ReadonlyMap<string, string> } {
  const files = new Map<string, string>()
  const packages = Array.from({ length: 30 }, (_, index) => `dependency_${index}`)
  for (const name of packages) {
    const modules = Array.from({ length: 10 }, (_, index) => `module_${index}`)
    files.set(`${name}/__init__.py`, modules.map((module) => `from . import ${module}\n`).join(''))
    for (const module of modules) files.set(`${name}/${module}.py`, pythonModule(name))
  }
  const load = packages.map((name) => `import ${name}\n`).join('')
  return { source: `${load}\ndef handler(event, context):\n    return event\n`, files }
}

/** Some 1.7 KB of functions and tables. */
function pythonModule(name: string): string {
  let text = ''
  for (let index = 0; text.length < 1700; index += 1)
    text +=
      `def step${index}(value=None):\n` +
      `    table = {"first": ${index * 7919}, "second": "value ${index} of ${name}", "third": [${index % 97}, 5]}\n` +
      `    return table if value is None else dict(table, input=value)\n\n\n`
  return text
}
