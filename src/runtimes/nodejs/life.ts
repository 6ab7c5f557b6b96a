import { Call } from './call.ts'
import { Channel } from './channel.ts'
import type { Contract, ContractFactory, Setup } from './contract.ts'
import { replaceEnvironment } from './environment.ts'
import { EXIT_PROTOCOL_ERROR, FAILED_FLAG, FRAME, LOG_FLAG } from './frames.ts'
import { Inbox } from './inbox.ts'
import { MemoryPeak, nowMs } from './measure.ts'
import { printed, replaceConsole, replaceStreams } from './streams.ts'
import { TicketBook } from './tickets.ts'

const CONTRACTS: Readonly<Record<string, () => Promise<ContractFactory>>> = {
  'alibaba-fc': async () => (await import('./contracts/alibaba-fc.ts')).createAlibabaFc,
  'huawei-functiongraph': async () =>
    (await import('./contracts/huawei-functiongraph.ts')).createHuaweiFunctionGraph,
  'tencent-scf': async () => (await import('./contracts/tencent-scf.ts')).createTencentScf,
}

/** Set-up follows HELLO within a few milliseconds where a call waits. */
const LOAD_AHEAD_AFTER_MS = 20

// Taken before any code of the function runs: it may replace them.
const exit: (code: number) => never = process.exit.bind(process)

/** From the greeting to the end of the process: one function's whole life in it. */
class Life {
  readonly #channel: Channel
  readonly #peak = new MemoryPeak()
  #contract: Contract | undefined
  #inbox: Inbox | undefined
  #isSetUp = false
  /** Which step fails if the code fails now: FAILED's flag. */
  #phase: number = FAILED_FLAG.load
  #isEnding = false

  constructor() {
    this.#channel = new Channel(
      {
        frame: (type, flag, callId, meta, payload) => this.#receive(type, flag, callId, meta, payload),
        batchEnd: () => this.#inbox?.batchAdded(),
        malformed: () => exit(EXIT_PROTOCOL_ERROR),
      },
      () => this.#leave(0),
    )
    process.on('exit', () => this.#channel.flush())
    process.on('uncaughtException', (error) => this.#uncaught(error))
    process.on('unhandledRejection', (reason) => this.#uncaught(reason))
    setTimeout(() => this.#loadAhead(), LOAD_AHEAD_AFTER_MS).unref()
  }

  /** A process started ahead of need has time: set-up then finds everything loaded. One that is wanted loads only what it needs. */
  #loadAhead(): void {
    if (this.#isSetUp) return
    for (const load of Object.values(CONTRACTS)) void load()
    void this.#rehearse().catch(() => undefined)
  }

  async #rehearse(): Promise<void> {
    const { rehearseLoading } = await import('./rehearsal.ts')
    if (!this.#isSetUp) await rehearseLoading()
  }

  #receive(type: number, flag: number, callId: number, meta: string, payload: Buffer): void {
    if (type === FRAME.invoke && this.#inbox !== undefined) {
      this.#inbox.add(new Call(callId, flag, meta, payload))
    } else if (type === FRAME.setup && !this.#isSetUp) {
      this.#isSetUp = true
      void this.#setUp(payload)
    } else {
      exit(EXIT_PROTOCOL_ERROR)
    }
  }

  async #setUp(payload: Buffer): Promise<void> {
    const setup: Setup = JSON.parse(payload.toString())
    const factory = CONTRACTS[setup.contract]
    if (factory === undefined) return exit(EXIT_PROTOCOL_ERROR)
    const createContract = await factory()
    replaceEnvironment(setup.environment)
    process.chdir(setup.codeDir)
    const contract = createContract(setup, {
      settle: (call, end) => this.#inbox?.settle(call, end),
      whenEventLoopEmpty: (then) => this.#whenEventLoopEmpty(then),
      requestId: () => this.#inbox?.requestId ?? setup.requestId,
      logLine: (level, requestId, text) => this.#logLine(level, requestId, text),
      logValues: (level, requestId, values) => this.#logLine(level, requestId, printed(values)),
    })
    this.#contract = contract
    replaceStreams((fd, bytes) => this.#log(fd, bytes))
    replaceConsole((level, text) => this.#logLine(level, this.#inbox?.requestId ?? setup.requestId, text))
    try {
      await this.#open(contract, setup)
    } catch (error) {
      if (this.#isEnding) return
      const { errorType, body } = contract.failureOf(error)
      this.#fail(errorType, body)
    }
  }

  async #open(contract: Contract, setup: Setup): Promise<void> {
    const startedAtMs = nowMs()
    await contract.load()
    const loadedAtMs = nowMs()
    if (setup.initializer !== undefined) {
      this.#phase = FAILED_FLAG.initializer
      this.#channel.send(FRAME.loaded, 0, 0, '')
      await contract.initialize()
    }
    const inbox = new Inbox({
      channel: this.#channel,
      tickets: new TicketBook(),
      peak: this.#peak,
      concurrency: setup.concurrency,
      requestId: setup.requestId,
      invoke: (call) => contract.invoke(call),
      bounded: (call, end) => contract.bounded(call, end),
    })
    if (this.#isEnding) return
    this.#inbox = inbox
    const ready = {
      loadMs: roundedMs(loadedAtMs - startedAtMs),
      initMs: roundedMs(nowMs() - loadedAtMs),
      peakKib: this.#peak.read(),
    }
    this.#channel.send(FRAME.ready, 0, 0, JSON.stringify(ready))
  }

  #log(fd: 1 | 2, bytes: Buffer | string): void {
    const flag = fd === 1 ? LOG_FLAG.stdout : LOG_FLAG.stderr
    this.#channel.log(flag, this.#inbox?.current?.id ?? 0, bytes)
  }

  #logLine(level: Parameters<Contract['formatLine']>[0], requestId: string, text: string): void {
    const line = this.#contract?.formatLine(level, requestId, text)
    if (line !== undefined) this.#log(level === 'warn' || level === 'error' ? 2 : 1, line)
  }

  /** With only the channel left to hold it, an unreferenced channel lets the event loop run dry. */
  #whenEventLoopEmpty(then: () => void): void {
    this.#channel.holdEventLoop(false)
    process.once('beforeExit', () => {
      this.#channel.holdEventLoop(true)
      then()
    })
  }

  #uncaught(error: unknown): void {
    if (this.#isEnding) return
    const contract = this.#contract
    if (contract === undefined) {
      process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
      exit(1)
    }
    const end = contract.uncaught(error)
    const inbox = this.#inbox
    if (inbox === undefined) {
      this.#fail(end.errorType, end.body)
      return
    }
    this.#isEnding = true
    for (const call of inbox.running) inbox.settle(call, end)
    // No call starts before the channel is idle, so none does any more.
    this.#channel.whenIdle(() => this.#leave(1))
  }

  #fail(errorType: string, body: string): void {
    if (this.#isEnding) return
    this.#isEnding = true
    this.#channel.send(
      FRAME.failed,
      this.#phase,
      0,
      JSON.stringify({ errorType: errorType.slice(0, 1024), peakKib: this.#peak.read() }),
      body,
    )
    this.#channel.whenIdle(() => this.#leave(0))
  }

  /** Ends the process without running what the code has registered for its end. */
  #leave(code: number): never {
    process.removeAllListeners('exit')
    return exit(code)
  }
}

function roundedMs(durationMs: number): number {
  return Math.round(durationMs * 1000) / 1000
}

void new Life()
