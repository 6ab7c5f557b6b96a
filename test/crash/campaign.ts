import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { Apis } from './apis.ts'
import { Collector } from './collector.ts'
import { Connection, NoAnswer } from './connection.ts'
import { crashFunctions, TOLD, type CrashFunction } from './functions.ts'
import { freePort } from './free-port.ts'
import { Gate } from './gate.ts'
import { judge } from './judge.ts'
import { leftovers } from './leftovers.ts'
import { labelOf, Ledger, type CallRecord } from './ledger.ts'
import { Load, lookAt } from './load.ts'
import { plannedStep, type Step } from './plan.ts'
import { isAlive } from './processes.ts'
import { Random } from './random.ts'
import type { Report } from './report.ts'
import { ACCOUNT, CrashServer, KEY } from './server.ts'
import { viewDeadQueue, viewStore } from './store-view.ts'

/** Accepted calls that are read back after each start, and own ids that are tried again. */
const LOOKS_PER_START = 8
const IDS_PER_START = 2
const POLL_MS = 100
/** A volley of calls is accepted within about so long. */
const VOLLEY_MS = 12
/** How often a killed server's queue is examined. */
const AUTOPSY_EVERY = { short: 1, long: 8 }

export interface CampaignOptions {
  readonly seed: number
  /** The campaign ends after so many. */
  readonly kills: number
  /** Or when this time is over. */
  readonly forMs: number
  /** Everything in a few kills, and nothing that takes a minute. */
  readonly isShort: boolean
  /** Hears what is going on. */
  readonly progress: (text: string) => void
  readonly signal: AbortSignal
}

/** Kills of each kind. A start that is killed, or a stop, is one more than the end of the server before it. */
type Kills = Record<'server' | 'worker' | 'start-up' | 'stop', number>

/** Runs a server under load, kills it and its workers at random moments, and compares what was seen with what it has kept. */
export async function runCampaign(options: CampaignOptions): Promise<Report> {
  const home = mkdtempSync(join(tmpdir(), 'anvoke-crash-'))
  // Functions run as users of their own, who have to reach their code below it.
  chmodSync(home, 0o711)
  const ledger = new Ledger()
  const collector = await Collector.start(ledger)
  const server = new CrashServer(home, await freePort())
  try {
    return await new Campaign(options, home, ledger, collector, server).run()
  } finally {
    await server.end()
    await collector.close()
    rmSync(home, { recursive: true, force: true })
  }
}

class Campaign {
  readonly #options: CampaignOptions
  readonly #home: string
  readonly #ledger: Ledger
  readonly #collector: Collector
  readonly #server: CrashServer
  readonly #connection: Connection
  readonly #apis: Apis
  readonly #functions: readonly CrashFunction[]
  readonly #gate = new Gate()
  readonly #load: Load
  readonly #kills: Kills = { server: 0, worker: 0, 'start-up': 0, stop: 0 }
  readonly #workerKillsMs: number[] = []
  readonly #serverKillsMs: number[] = []
  #restarts = 0
  #autopsies = 0
  #idsTried = 0

  constructor(
    options: CampaignOptions,
    home: string,
    ledger: Ledger,
    collector: Collector,
    server: CrashServer,
  ) {
    this.#options = options
    this.#home = home
    this.#ledger = ledger
    this.#collector = collector
    this.#server = server
    this.#functions = crashFunctions(!options.isShort)
    this.#connection = new Connection(server.origin)
    this.#apis = new Apis(this.#connection, KEY, ACCOUNT)
    const { seed } = options
    this.#load = new Load({ apis: this.#apis, ledger, gate: this.#gate, seed, functions: this.#functions })
  }

  async run(): Promise<Report> {
    const startedAt = new Date()
    const { kills, forMs, progress, signal } = this.#options
    await this.#server.start()
    await this.#apis.deploy(this.#functions, this.#collector.port)
    this.#load.begin()
    this.#gate.open()
    for (let index = 0; this.#killed < kills && Date.now() - startedAt.getTime() < forMs; index += 1) {
      signal.throwIfAborted()
      await this.#take(plannedStep(this.#options.seed, index), index)
      if (index % 20 === 19)
        progress(
          `${this.#killed} kills, ${this.#ledger.calls.size} calls, ${this.#ledger.runs.size} runs, ` +
            `${this.#ledger.live} go on, ${this.#ledger.violationCount} violations`,
        )
    }
    progress(`${this.#killed} kills are done; waiting until all calls have ended`)
    await this.#load.end()
    await this.#untilAllEnded()
    await this.#readAll()
    await this.#stop()
    this.#connection.close()
    const final = await viewStore(this.#server.dataDir, ACCOUNT, ({ attempts, lostRuns, requestId }) =>
      this.#ranMoreThan(requestId, attempts + lostRuns),
    )
    const verdict = judge({
      ledger: this.#ledger,
      final,
      workerKillsMs: this.#workerKillsMs,
      serverKillsMs: this.#serverKillsMs,
    })
    for (const orphan of this.#server.orphans)
      this.#ledger.violate(`a process outlived its server: ${orphan}`)
    const { names, temporaryDir } = this.#server
    for (const left of leftovers({ names, home: this.#home, temporaryDir }))
      this.#ledger.violate(`left behind: ${left}`)
    const { audit } = final
    return {
      startedAt: startedAt.toISOString(),
      elapsedS: Math.round((Date.now() - startedAt.getTime()) / 1000),
      seed: this.#options.seed,
      kills: { all: this.#killed, ...this.#kills },
      gracefulRestarts: this.#restarts,
      starts: summaryOf(this.#server.startsMs),
      calls: this.#ledger.calls.size,
      ...verdict,
      askedAgain: this.#load.askedAgain,
      idsTried: this.#idsTried,
      looks: this.#load.looks,
      autopsies: this.#autopsies,
      audit,
      violationCount: this.#ledger.violationCount,
      violations: this.#ledger.violations,
    }
  }

  get #killed(): number {
    return Object.values(this.#kills).reduce((sum, count) => sum + count, 0)
  }

  async #take({ what, afterMs, momentMs, victim }: Step, index: number): Promise<void> {
    await delay(afterMs, undefined, { signal: this.#options.signal })
    if (what === 'worker') return this.#killWorker(victim)
    switch (what) {
      case 'server':
        await this.#killInVolley(victim)
        break
      case 'stop':
        this.#server.terminate()
        await delay(momentMs)
        await this.#kill('stop')
        break
      case 'start-up':
        await this.#killInVolley(victim)
        this.#server.spawn()
        await delay(momentMs)
        await this.#kill('start-up')
        break
      case 'restart':
        await this.#stop()
        this.#gate.close()
        this.#restarts += 1
        break
    }
    if (index % AUTOPSY_EVERY[this.#options.isShort ? 'short' : 'long'] === 0) await this.#examine()
    await this.#server.start()
    await this.#check(index)
    this.#gate.open()
  }

  /** A kill while calls are being accepted: their callers get no answer, or one that was sent just before. */
  async #killInVolley(moment: number): Promise<void> {
    this.#load.volley()
    await delay(moment * VOLLEY_MS)
    await this.#kill('server')
  }

  async #kill(what: keyof Kills): Promise<void> {
    await this.#server.kill()
    this.#gate.close()
    this.#kills[what] += 1
    this.#serverKillsMs.push(performance.now())
  }

  /** One that does not stop is killed: what it has kept is judged all the same. */
  async #stop(): Promise<void> {
    try {
      await this.#server.stop()
    } catch (error) {
      this.#ledger.violate(error instanceof Error ? error.message.slice(0, 1000) : String(error))
    }
  }

  #killWorker(victim: number): void {
    const below = this.#server.descendants()
    const chosen = below[Math.floor(victim * below.length)]
    if (chosen === undefined || !isAlive(chosen)) return
    try {
      process.kill(chosen.pid, 'SIGKILL')
      this.#kills.worker += 1
      this.#workerKillsMs.push(performance.now())
    } catch {
      // It ended by itself in the meantime.
    }
  }

  /** What a dead server left on the disk: every call that it answered with 202, and numbers that fit. */
  async #examine(): Promise<void> {
    this.#autopsies += 1
    const copy = join(this.#home, 'copy')
    const { audit, tasks, running, claimed } = await viewDeadQueue(this.#server.dataDir, copy, ACCOUNT)
    for (const [name, value] of Object.entries(audit))
      if (value !== 0) this.#ledger.violate(`${name} is ${value} after a kill`)
    for (const call of this.#ledger.calls.values())
      if (call.submission === 'accepted' && !tasks.has(call.requestId ?? ''))
        this.#ledger.violate(`${labelOf(call)} was accepted, and is not on the disk after a kill: lost`)
    for (const { requestId, lostRuns, isToStop } of running) {
      const again = claimed.get(requestId)
      if (isToStop && tasks.get(requestId)?.status !== 'cancelled')
        this.#ledger.violate(`${requestId} was to be stopped when the server died, and is not cancelled then`)
      if (!isToStop && again?.lostRuns !== lostRuns + 1)
        this.#ledger.violate(`${requestId} ran when the server died, and is not due at once as a lost one`)
    }
  }

  /** After a start: some of what was accepted is there, as it was if it had ended, and its own ids are taken. */
  async #check(index: number): Promise<void> {
    const random = new Random(this.#options.seed, 'check', index)
    const accepted = [...this.#ledger.calls.values()].filter(({ submission }) => submission === 'accepted')
    const some = (calls: readonly CallRecord[], most: number): CallRecord[] =>
      Array.from(
        { length: Math.min(most, calls.length) },
        () => calls[random.between(0, calls.length)],
      ).filter((call) => call !== undefined)
    for (const call of some(accepted, LOOKS_PER_START))
      await this.#retried(() => lookAt(call, this.#apis, this.#ledger))
    const named = accepted.filter(({ plan }) => plan.door === 'fc-own-id')
    for (const call of some(named, IDS_PER_START)) {
      const taken = await this.#retried(() => this.#apis.submit(call))
      this.#idsTried += 1
      if (taken.kind !== 'taken')
        this.#ledger.violate(`${labelOf(call)}: its id was given again (${taken.kind})`)
    }
  }

  /** A connection of before the kill may be tried first. */
  async #retried<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask()
    } catch (error) {
      if (error instanceof NoAnswer) return await ask()
      throw error
    }
  }

  async #untilAllEnded(): Promise<void> {
    const withinMs = this.#options.isShort ? 90_000 : 300_000
    const deadlineMs = performance.now() + withinMs
    const names = [...this.#functions.map(({ name }) => name), TOLD]
    for (;;) {
      let open = 0
      for (const name of names) open += await this.#retried(() => this.#apis.open(name))
      // The endings of the last ones are told a moment after.
      if (open === 0 && this.#untold === 0) return
      if (performance.now() > deadlineMs) {
        this.#ledger.violate(
          `${open} calls have not ended ${withinMs / 1000} s after the load, ${this.#untold} are not told`,
        )
        return
      }
      await delay(POLL_MS)
    }
  }

  /** Endings that were seen and not told where they have to be. */
  get #untold(): number {
    let untold = 0
    for (const { plan, requestId = '', ended, submission } of this.#ledger.calls.values()) {
      const mayBeTold = plan.tells !== undefined && submission === 'accepted' && ended?.ending !== 'cancelled'
      if (mayBeTold && ended !== undefined && !this.#ledger.told.has(requestId)) untold += 1
    }
    return untold
  }

  async #readAll(): Promise<void> {
    for (const call of this.#ledger.calls.values()) {
      if (call.submission !== 'accepted') continue
      await this.#retried(() => lookAt(call, this.#apis, this.#ledger))
    }
    // Those whose end was only seen now.
    const deadlineMs = performance.now() + 30_000
    while (this.#untold > 0 && performance.now() < deadlineMs) await delay(POLL_MS)
  }

  #ranMoreThan(requestId: string, times: number): boolean {
    this.#runsById ??= Map.groupBy(this.#ledger.runs.values(), (run) => run.requestId)
    return (this.#runsById.get(requestId)?.length ?? 0) > times
  }

  #runsById: Map<string, unknown[]> | undefined
}

function summaryOf(valuesMs: readonly number[]): Report['starts'] {
  const sorted = [...valuesMs].sort((a, b) => a - b)
  const at = (share: number): number =>
    Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0)
  return { count: sorted.length, medianMs: at(0.5), longestMs: at(1) }
}
