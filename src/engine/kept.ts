import type { HandlerContract } from '../contracts/contract.ts'
import { EngineError } from '../model/errors.ts'
import type { FunctionVersion } from '../model/function.ts'
import type { Change, ProvisionRecord, RecordKind } from '../store/definition-store.ts'
import type { Catalogue } from './catalogue.ts'
import { findFunctionRecord } from './find-function.ts'
import { exitSentence, type InstanceEnding } from './instance-ending.ts'
import type { Instance } from './instance.ts'
import { grantClaims } from './kept-share.ts'
import { qualifiedKey } from './keys.ts'
import type { Keeper, PoolLimits } from './pool-setup.ts'
import type { Pool } from './pool.ts'

/** What a provision record has come to. */
export interface Readiness {
  /** Instances that are ready, busy ones among them: 0 … `target`. */
  readonly ready: number
  /** As many as the record asks for. */
  readonly target: number
  /** Why fewer are ready or will be, in words for the function's owner; absent while nothing fails and all that is asked for is granted. */
  readonly failure?: string
}

/** What the operator is told. */
export type KeptEvent =
  /** Fewer are kept than asked for: the limits of the function or of the host. */
  | {
      readonly kind: 'limited'
      readonly version: FunctionVersion
      readonly asked: number
      readonly granted: number
    }
  /** The first of failures in a row. */
  | { readonly kind: 'failing'; readonly version: FunctionVersion; readonly reason: string }

interface Rooms {
  readonly catalogue: Catalogue
  readonly pool: Pick<Pool, 'standing' | 'startAhead'>
  readonly contracts: ReadonlyMap<string, HandlerContract>
  readonly limits: Pick<
    PoolLimits,
    'maxInstances' | 'maxInstancesPerFunction' | 'maxInstancesOf' | 'memoryBudgetMib'
  >
  /** Monotonic milliseconds. */
  readonly clock: () => number
  /** Must not throw. */
  readonly observe: (event: KeptEvent) => void
}

/** One state of which instances are kept ready. */
interface Want {
  readonly version: FunctionVersion
  readonly contract: HandlerContract
  /** All records that lead to it together. */
  asked: number
  granted: number
  /** In a row; while there are some, starts are single and wait until `retryAtMs`. */
  failures: number
  retryAtMs: number
  failure: string
}

/** A failure as its function's owner and as the operator reads it. */
interface Cause {
  readonly failure: string
  readonly reason: string
}

/** Records that decide what is kept ready. */
const DECISIVE: ReadonlySet<RecordKind> = new Set(['provision', 'function', 'alias', 'scaling'])
/** The wait after a first failure; doubled by each further one. */
const FIRST_RETRY_MS = 1000
const LONGEST_RETRY_MS = 300_000
/** One that ended by itself later than this after its start says nothing about the next start. */
const STABLE_MS = 60_000
const NOT_STARTED = 'instances cannot be started'

/** Keeps as many instances ready as provision records ask for: "Instances that are kept ready" of `README.md`. */
export class Kept implements Keeper {
  readonly #rooms: Rooms
  /** By the id of the state. */
  #wants = new Map<string, Want>()
  /** By the key of the record: where it leads, and how many of its instances count for records before it. */
  #claims = new Map<string, { readonly want: Want; readonly before: number }>()

  constructor(rooms: Rooms) {
    this.#rooms = rooms
  }

  /** Reads all records, and starts what is missing. */
  begin(): void {
    const known = this.#wants
    this.#wants = new Map()
    this.#claims = new Map()
    for (const { key, value } of this.#rooms.catalogue.list('provision', '')) {
      const version = value.target > 0 ? this.#versionBehind(value) : undefined
      const contract = this.#rooms.contracts.get(version?.contract ?? '')
      if (version === undefined || contract === undefined) continue
      const want = this.#wants.get(version.id) ?? {
        version,
        contract,
        ...{ failures: 0, retryAtMs: -Infinity, failure: '' },
        ...known.get(version.id),
        ...{ asked: 0, granted: 0 },
      }
      this.#wants.set(version.id, want)
      this.#claims.set(key, { want, before: want.asked })
      want.asked += value.target
    }
    this.#grant(known)
    this.look()
  }

  /** Follows what a commit changed. */
  follow(changes: readonly Change[]): void {
    if (changes.some(({ kind }) => DECISIVE.has(kind))) this.begin()
  }

  /** How many instances are ready for a record. */
  keptOf(
    record: Pick<ProvisionRecord, 'account' | 'namespace' | 'functionName' | 'qualifier' | 'target'>,
  ): Readiness {
    const { account, namespace, functionName, qualifier, target } = record
    const claim = this.#claims.get(qualifiedKey(account, namespace, functionName, qualifier))
    if (claim === undefined) return { ready: 0, target }
    const { version, granted, failures, failure } = claim.want
    /** What is left for this record of so many, after those before it. */
    const share = (count: number): number => Math.min(Math.max(count - claim.before, 0), target)
    const ready = share(Math.min(this.#rooms.pool.standing(version.id).ready, granted))
    if (failures > 0 && ready < target) return { ready, target, failure }
    const due = share(granted)
    return due < target
      ? { ready, target, failure: this.#limitSentence(claim.want, due, target) }
      : { ready, target }
  }

  countOf(stateId: string): number {
    return this.#wants.get(stateId)?.granted ?? 0
  }

  release(stateIds: readonly string[]): void {
    for (const id of stateIds) this.#wants.delete(id)
  }

  ended(instance: Instance, ending: InstanceEnding): void {
    const want = this.#wants.get(instance.version.id)
    const cause = causeOf(ending)
    if (want === undefined || cause === undefined || instance.startedAtMs < want.retryAtMs) return
    const wasReady = ending.kind === 'crashed' || ending.kind === 'broken'
    if (wasReady && this.#rooms.clock() - instance.startedAtMs > STABLE_MS) want.failures = 0
    else this.#fail(want, cause)
  }

  /** Starts what is missing, one of each state in turn, as far as there is room. */
  look(): void {
    let short = [...this.#wants.values()].filter((want) => this.#isShort(want))
    while (short.length > 0) short = short.filter((want) => this.#start(want) && this.#isShort(want))
  }

  #isShort({ version, granted, failures, retryAtMs }: Want): boolean {
    const { ready, old, starting, leaving } = this.#rooms.pool.standing(version.id)
    // One that leaves is missed once it is known how it ended: that may be a reason to wait. One that is old is replaced first.
    if (ready - old + starting + leaving >= granted) return false
    return failures === 0 || (starting === 0 && this.#rooms.clock() >= retryAtMs)
  }

  #start(want: Want): boolean {
    try {
      return this.#rooms.pool.startAhead(want.version, want.contract)
    } catch (error) {
      this.#fail(want, { failure: NOT_STARTED, reason: String(error) })
      return false
    }
  }

  #fail(want: Want, { failure, reason }: Cause): void {
    want.failures += 1
    want.failure = failure
    want.retryAtMs =
      this.#rooms.clock() + Math.min(FIRST_RETRY_MS * 2 ** (want.failures - 1), LONGEST_RETRY_MS)
    if (want.failures === 1) this.#rooms.observe({ kind: 'failing', version: want.version, reason })
  }

  /** Which limit allows `due` of `target` instances and no more. */
  #limitSentence({ version, asked, granted }: Want, due: number, target: number): string {
    const { maxInstances, maxInstancesPerFunction, memoryBudgetMib } = this.#rooms.limits
    const own = this.#ownLimitOf(version)
    const limit =
      granted < Math.min(asked, own)
        ? `what the server keeps ready for all functions (maxInstances ${maxInstances}, memoryBudgetMib ${memoryBudgetMib})`
        : own < maxInstancesPerFunction
          ? `the cap of ${own} that is set for the function`
          : `the server's cap for each function (maxInstancesPerFunction ${maxInstancesPerFunction})`
    return `${due} of ${target} instances are kept ready, as far as allowed by ${limit}`
  }

  /** Instances that the limits of its function and of every function allow. */
  #ownLimitOf(version: FunctionVersion): number {
    const { maxInstancesPerFunction, maxInstancesOf } = this.#rooms.limits
    return Math.min(maxInstancesPerFunction, maxInstancesOf?.(version) ?? Infinity)
  }

  #grant(known: ReadonlyMap<string, Want>): void {
    const { limits, observe } = this.#rooms
    const wants = [...this.#wants.values()]
    const claims = wants.map(({ version, asked }) => ({
      asked: Math.min(asked, this.#ownLimitOf(version)),
      memoryMib: version.memoryMib,
    }))
    const grants = grantClaims(claims, limits)
    for (const [index, want] of wants.entries()) {
      want.granted = grants[index] ?? 0
      const { version, asked, granted } = want
      const before = known.get(version.id)
      const isNews = before?.asked !== asked || before.granted !== granted
      if (granted < asked && isNews) observe({ kind: 'limited', version, asked, granted })
    }
  }

  /** The state a record leads to; undefined when it leads nowhere. */
  #versionBehind({
    account,
    namespace,
    functionName,
    qualifier,
  }: ProvisionRecord): FunctionVersion | undefined {
    const { catalogue } = this.#rooms
    const name = { account, namespace, name: functionName }
    try {
      const { value } = findFunctionRecord(catalogue, { ...name, qualifier }, (alias) => alias.version)
      return catalogue.resolve({ ...name, qualifier: value.version })
    } catch (error) {
      if (error instanceof EngineError) return undefined
      throw error
    }
  }
}

/** What makes an ending a failure; undefined for one that was somebody's will. */
function causeOf(ending: InstanceEnding): Cause | undefined {
  switch (ending.kind) {
    case 'start-failed':
      return { failure: NOT_STARTED, reason: ending.reason }
    case 'init-failed': {
      const { phase, reason, errorType } = ending.failure
      const what = phase === 'load' ? 'the code cannot be loaded' : 'the initializer fails'
      const failure = `${what}: ${errorType === '' ? reason : errorType.slice(0, 256)}`
      return { failure, reason: failure }
    }
    case 'crashed':
    case 'broken':
      return {
        failure: 'instances end soon after their start',
        reason: ending.kind === 'broken' ? ending.reason : exitSentence(ending.exit),
      }
    case 'evicted':
    case 'retired':
    case 'killed':
    case 'timed-out':
    case 'terminated':
      return undefined
  }
}
