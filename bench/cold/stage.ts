import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { RuntimeTable } from '../../src/sandbox/runtimes.ts'
import type { FunctionSettings } from '../fc.ts'
import { readScheduling } from '../observation.ts'
import { processTree } from '../process.ts'
import { createAnvoke, functionSource, type AnvokeServer, type RunningAnvoke } from '../systems/anvoke.ts'
import type { Workload } from '../workloads.ts'

export type LanguageName = 'Node.js' | 'Python'

/** One language: the program that functions in it run on, and what they are made of. */
export interface Language {
  readonly name: LanguageName
  /** The interpreter that the server takes for `runtime`. */
  readonly interpreter: string
  readonly runtime: NonNullable<FunctionSettings['runtime']>
  readonly hello: string
  /** A line of code that gives the process a name, of up to 15 characters, by which it is found from outside. */
  nameProcess(name: string): string
  /** Makes a source another one, so that nothing that is kept for each package can have been prepared. */
  comment(text: string): string
}

/** The servers that take turns; all with the bwrap sandbox unless they are named otherwise. */
export interface Stage {
  readonly languages: readonly Language[]
  /** As a user starts it. */
  readonly pooled: RunningAnvoke
  /** Without processes that are started ahead. */
  readonly unpooled: RunningAnvoke
  /** Its instances are idle for a second at most. */
  readonly evicting: RunningAnvoke
  /** Without isolation. */
  readonly bare: RunningAnvoke
}

const CALM_CPU_MS = 4
const CALM_WITHIN_MS = 100
const LONGEST_SETTLING_MS = 4_000

/** Starts the servers and deploys "hello" on each. */
export async function setStage(directory: string, signal: AbortSignal): Promise<Stage> {
  const anvoke = createAnvoke(directory)
  const bwrap = ['--sandbox', 'bwrap']
  return {
    languages: await findLanguages(),
    pooled: await started(anvoke, bwrap, signal),
    unpooled: await started(anvoke, [...bwrap, '--stems-per-class', '0'], signal),
    evicting: await started(anvoke, [...bwrap, '--idle-timeout-seconds', '1'], signal),
    bare: await started(anvoke, ['--sandbox', 'process'], signal),
  }
}

/** The servers that run. */
export function serversOf({ pooled, unpooled, evicting, bare }: Stage): readonly RunningAnvoke[] {
  return [pooled, unpooled, evicting, bare]
}

async function started(anvoke: AnvokeServer, flags: readonly string[], signal: AbortSignal) {
  const server = await anvoke.start(signal, { flags })
  await server.prepare()
  return server
}

async function findLanguages(): Promise<Language[]> {
  const runtimes = await RuntimeTable.discover()
  const python = runtimes.interpreters.find(({ language }) => language === 'python')
  return [
    {
      name: 'Node.js',
      interpreter: runtimes.resolve('nodejs26').interpreter.path,
      runtime: 'nodejs26',
      hello: functionSource('hello'),
      nameProcess: (name) => `require('node:fs').writeFileSync('/proc/self/comm', '${name}')\n`,
      comment: (text) => `// ${text}\n`,
    },
    ...(python === undefined
      ? []
      : [
          {
            name: 'Python' as const,
            interpreter: runtimes.resolve('python3').interpreter.path,
            runtime: 'python3' as const,
            hello: functionSource('hello', 'py'),
            nameProcess: (name: string) =>
              `with open("/proc/self/comm", "w") as file:\n    file.write("${name}")\n`,
            comment: (text: string) => `# ${text}\n`,
          },
        ]),
  ]
}

/** Deploys "hello" as a function that nobody has called. */
export async function deploy(
  server: RunningAnvoke,
  language: Language,
  functionName: string,
  more: { readonly processName?: string; readonly files?: ReadonlyMap<string, string> } = {},
): Promise<void> {
  const { runtime, hello } = language
  const { processName, files } = more
  const source =
    (processName === undefined ? '' : language.nameProcess(processName)) +
    hello +
    language.comment(functionName)
  await server.client.createFunction(server.service, {
    functionName,
    runtime,
    source,
    ...(files === undefined ? {} : { files }),
  })
}

/** Calls a function once; how long it took, in ms. Throws unless the answer is right. */
export async function timeCall(
  server: RunningAnvoke,
  functionName: string,
  hello: Workload,
): Promise<number> {
  const startedAtMs = performance.now()
  const answer = await server.client.invoke(server.service, functionName, hello.body)
  const elapsedMs = performance.now() - startedAtMs
  if (!answer.equals(hello.expected)) throw new Error(`${functionName} answered ${answer.toString()}`)
  return elapsedMs
}

/** Waits until a server and everything below it rests: what it starts ahead is there. Four seconds at most. */
export async function settle(server: RunningAnvoke, signal: AbortSignal): Promise<void> {
  const deadlineMs = performance.now() + LONGEST_SETTLING_MS
  let before = readScheduling(server.child.pid)
  while (performance.now() < deadlineMs) {
    await delay(CALM_WITHIN_MS, undefined, { signal })
    const after = readScheduling(server.child.pid)
    const isSame = after.pids.join() === before.pids.join()
    if (isSame && after.cpuMs - before.cpuMs < CALM_CPU_MS) return
    before = after
  }
}

/** Waits until no process below the server has this name. Throws when one is left after ten seconds. */
export async function untilNoProcess(
  server: RunningAnvoke,
  name: string,
  signal: AbortSignal,
): Promise<void> {
  const deadlineMs = performance.now() + 10_000
  while (processTree(server.child.pid).some(({ command }) => command === name)) {
    if (performance.now() > deadlineMs)
      throw new Error(`an idle instance was not evicted: ${name} is running`)
    await delay(20, undefined, { signal })
  }
}

/**
 * Dependencies of a usual size: 30 packages of 10 modules, 5 MB in all, each module requiring the next; and a line of code that
 * loads them. The same bytes every time.
 */
export function createDependencies(): { readonly files: ReadonlyMap<string, string>; readonly load: string } {
  const files = new Map<string, string>()
  const packages = Array.from({ length: 30 }, (_, index) => `dependency-${index}`)
  for (const [number, name] of packages.entries()) {
    files.set(
      `node_modules/${name}/package.json`,
      `{"name":"${name}","version":"1.0.0","main":"module-0.js"}\n`,
    )
    for (let index = 0; index < 10; index += 1) {
      const next = index < 9 ? `require('./module-${index + 1}.js')\n` : ''
      files.set(
        `node_modules/${name}/module-${index}.js`,
        `'use strict'\n${next}${moduleBody(number * 10 + index)}`,
      )
    }
  }
  return { files, load: packages.map((name) => `require('${name}')\n`).join('') }
}

/** Some 17 KB of functions and tables, as libraries have them. */
function moduleBody(seed: number): string {
  let text = ''
  for (let index = 0; text.length < 17_000; index += 1) {
    const value = (seed * 7919 + index * 104_729) % 1_000_003
    text +=
      `exports.step${index} = function step${index}(input) {\n` +
      `  const table = { first: ${value}, second: 'value ${value} of ${seed}', third: [${value % 97}, ${value % 89}] }\n` +
      `  return input === undefined ? table : { ...table, input }\n}\n`
  }
  return text
}

/** Writes the dependencies to a directory, with a program that loads them; the program's path. */
export function writeDependencies(directory: string): string {
  const { files, load } = createDependencies()
  const root = join(directory, 'dependencies')
  for (const [path, content] of files) {
    const file = join(root, path)
    mkdirSync(join(file, '..'), { recursive: true })
    writeFileSync(file, content)
  }
  const program = join(root, 'index.js')
  writeFileSync(program, load)
  return program
}
