// A server under steady mixed load while processes of its instances are killed at random: `node bench/soak.ts [--minutes N]`. Each
// minute the load pauses, and what is left of it is counted. Prints JSON; exit code 1 on a violation. See README.md.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { describeHost } from './machine.ts'
import { processTree, stopCleanly } from './process.ts'
import { Program } from './program.ts'
import { readAsyncCalls, type AsyncCalls } from './soak/async-calls.ts'
import {
  compareRests,
  growthOverRests,
  isOfZygote,
  leftBehind,
  readMounts,
  serverName,
  sharedMemoryEntries,
  takeCensus,
  type Census,
  type ServerPlaces,
} from './soak/census.ts'
import { soakFunctions } from './soak/functions.ts'
import { Load } from './soak/load.ts'
import { createAnvoke, type RunningAnvoke } from './systems/anvoke.ts'
import { createWorkloads } from './workloads.ts'

const usage = 'Usage: node bench/soak.ts [--minutes 1…1440] [--without-kills]'
const LOAD_MS = 60_000
const KILL_EVERY_MS = { least: 1_000, most: 3_000 }
const IDLE_SECONDS = 2
/** Longest wait until asynchronous calls have ended and idle instances are gone. */
const REST_WITHIN_MS = 60_000
/** A server at rest has looked the same for so long. */
const CALM_MS = 1_500

/** The server at one of its rests. */
interface Rest {
  readonly minute: number
  readonly census: Census
  readonly asyncCalls: AsyncCalls
  readonly kills: number
  readonly calls: number
}

const options = readOptions()
const program = new Program('anvoke-soak-')
const { directory, signal } = program
// The server's own: whatever lies there is its doing.
const temporaryDir = join(directory, 'tmp')
mkdirSync(temporaryDir)
process.env['TMPDIR'] = temporaryDir

await program.run(async () => {
  const report = await soak()
  process.stdout.write(`${JSON.stringify(report, null, 2)}\n`)
  return report.violations.length > 0 ? 1 : 0
})

async function soak() {
  const startedAt = new Date()
  const violations: string[] = []
  const rests: Rest[] = []
  const [hello] = createWorkloads(directory)
  // Never the driver that isolates nothing: some of the functions would harm the host.
  const flags = ['--sandbox', 'bwrap', '--idle-timeout-seconds', String(IDLE_SECONDS)]
  const mountsBefore = readMounts()
  const sharedMemoryBefore = new Set(sharedMemoryEntries())
  const server = await createAnvoke(directory).start(signal, { flags })
  const { pid } = server.child
  const { dataDir } = server
  const places: ServerPlaces = { pid, name: serverName(pid), dataDir, temporaryDir, sharedMemoryBefore }
  await server.client.createService(server.service)
  for (const { settings } of soakFunctions) {
    await server.client.createFunction(server.service, settings)
    // Failures are not repeated, so that whatever is accepted ends within a rest.
    await server.client.limitAsyncRetries(server.service, settings.functionName, 0)
  }
  const load = new Load(server, hello, signal)
  let kills = 0
  let hit = 0
  for (let minute = 1; minute <= options.minutes; minute += 1) {
    load.begin()
    if (options.withoutKills) await delay(LOAD_MS, undefined, { signal })
    else {
      const killed = await killAtRandom(server, LOAD_MS)
      kills += killed.kills
      hit += killed.hit
    }
    await load.pause()
    const rest = await restOf(server, places, { minute, kills, calls: load.tally.calls }, violations)
    rests.push(rest)
    const { census } = rest
    progress(
      `minute ${minute} of ${options.minutes}: ${rest.calls} calls, ${kills} kills, ${census.processes} processes, ` +
        `${census.cgroups} cgroups, ${census.descriptors} descriptors, ${census.rssMib.toFixed(0)} MiB`,
    )
    judge(rest, rests[0] ?? rest, load, violations)
    violations.push(...growthOverRests(rests.map(({ census: one }) => one)))
    if (server.child.ending !== undefined) break
  }
  if (load.tally.interrupted > hit)
    violations.push(`${load.tally.interrupted} calls were interrupted by ${kills} kills of ${hit} instances`)
  const problems: string[] = []
  await stopCleanly(server.child, problems)
  violations.push(
    ...problems,
    ...leftBehind(takeCensus(places), { before: mountsBefore, after: readMounts() }),
  )
  // What the server says for itself; its banner is not news.
  const serverWords = server.child.stderrTail
    .split(/^ *Any SDK .*$/m)
    .at(-1)
    ?.trim()
  return {
    startedAt: startedAt.toISOString(),
    elapsedSeconds: (Date.now() - startedAt.getTime()) / 1000,
    host: describeHost(),
    minutes: options.minutes,
    kills,
    ...load.tally,
    interruptions: Object.fromEntries(load.tally.interruptions),
    accepted: [...load.tally.accepted.values()].reduce((sum, count) => sum + count, 0),
    /** Not counted, because it was there before the server: names in `/dev/shm`, and how many mounts. */
    leftOut: { sharedMemory: [...sharedMemoryBefore], mounts: mountsBefore.trimEnd().split('\n').length },
    rests,
    serverWords,
    violations: [...new Set(violations)],
  }
}

function judge(rest: Rest, base: Rest, load: Load, violations: string[]): void {
  const at = (text: string) => `minute ${rest.minute}: ${text}`
  violations.push(...compareRests(base.census, rest.census).map(at))
  const accepted = [...load.tally.accepted.values()].reduce((sum, count) => sum + count, 0)
  const { asyncCalls } = rest
  if (asyncCalls.open > 0) violations.push(at(`${asyncCalls.open} asynchronous calls have not ended`))
  if (asyncCalls.accepted !== accepted)
    violations.push(at(`${accepted} asynchronous calls were accepted, ${asyncCalls.accepted} are known`))
  violations.push(...load.tally.unexpected.map((answer) => `unexpected answer: ${answer}`))
}

/**
 * Kills one process below the server after the other, for so long.
 *
 * @returns How many, and how many instances these were at most: with a zygote all that were forked from it end.
 */
async function killAtRandom(server: RunningAnvoke, forMs: number): Promise<{ kills: number; hit: number }> {
  const untilMs = performance.now() + forMs
  let kills = 0
  let hit = 0
  while (performance.now() < untilMs && server.child.ending === undefined) {
    const { least, most } = KILL_EVERY_MS
    await delay(least + Math.random() * (most - least), undefined, { signal })
    const below = processTree(server.child.pid).filter(({ pid }) => pid !== server.child.pid)
    const victim = below[Math.floor(Math.random() * below.length)]
    if (victim === undefined) continue
    try {
      const children = processTree(victim.pid).filter(({ pid }) => isOfZygote(pid)).length
      process.kill(victim.pid, 'SIGKILL')
      kills += 1
      hit += Math.max(1, children)
    } catch {
      // It ended by itself in the meantime.
    }
  }
  return { kills, hit }
}

/** Waits until nothing is open and nothing changes, then counts. */
async function restOf(
  server: RunningAnvoke,
  places: ServerPlaces,
  so: Pick<Rest, 'minute' | 'kills' | 'calls'>,
  violations: string[],
): Promise<Rest> {
  const deadlineMs = performance.now() + REST_WITHIN_MS
  let asyncCalls = await readAsyncCalls(server, signal)
  while (asyncCalls.open > 0 && performance.now() < deadlineMs) {
    await delay(500, undefined, { signal })
    asyncCalls = await readAsyncCalls(server, signal)
  }
  await delay((IDLE_SECONDS + 1) * 1000, undefined, { signal })
  let pids = pidsBelow(places.pid)
  let calmSinceMs = performance.now()
  while (performance.now() - calmSinceMs < CALM_MS) {
    if (performance.now() > deadlineMs) {
      violations.push(`minute ${so.minute}: the server did not come to rest`)
      break
    }
    await delay(200, undefined, { signal })
    const now = pidsBelow(places.pid)
    if (now !== pids) calmSinceMs = performance.now()
    pids = now
  }
  return { ...so, census: takeCensus(places), asyncCalls }
}

function pidsBelow(pid: number): string {
  return processTree(pid)
    .map((member) => member.pid)
    .join()
}

function progress(text: string): void {
  process.stderr.write(`soak: ${text}\n`)
}

function readOptions(): { readonly minutes: number; readonly withoutKills: boolean } {
  try {
    const { values } = parseArgs({
      options: {
        minutes: { type: 'string', default: '30' },
        'without-kills': { type: 'boolean', default: false },
      },
    })
    const minutes = Number(values.minutes)
    if (!Number.isInteger(minutes) || minutes < 1 || minutes > 1440)
      throw new Error(`"${values.minutes}" is not 1 to 1440 minutes`)
    return { minutes, withoutKills: values['without-kills'] }
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${usage}`)
    return process.exit(2)
  }
}
