import { suggest } from '../config/suggest.ts'
import type { Catalogue } from '../engine/catalogue.ts'
import type { FunctionName } from '../model/function.ts'
import type { Stored } from '../store/definition-store.ts'
import type { QueueCounters, TaskOperations } from '../store/task-queue.ts'
import { ControlError } from './errors.ts'

const NO_COUNTS = {
  accepted: 0,
  waiting: 0,
  running: 0,
  succeeded: 0,
  failed: 0,
  expired: 0,
  cancelled: 0,
  repeats: 0,
  refusals: 0,
  duplicates: 0,
  liveBytes: 0,
} as const

/** Names looked at for a near one. */
const MAX_COMPARED = 1000

/** Finds queues by the names of functions: of those that exist, and of deleted ones that had calls. */
export class Queues {
  readonly #tasks: Pick<TaskOperations, 'counters'>
  readonly #catalogue: Pick<Catalogue, 'list'>

  constructor(tasks: Pick<TaskOperations, 'counters'>, catalogue: Pick<Catalogue, 'list'>) {
    this.#tasks = tasks
    this.#catalogue = catalogue
  }

  /** In the order of their names; those of functions that never had a call are not among them. */
  list(account: string, namespace?: string): Promise<readonly QueueCounters[]> {
    return this.#tasks.counters({ account, ...(namespace === undefined ? {} : { namespace }) })
  }

  /** The queue of one function; empty where it never had a call. @throws {ControlError} `caller/function-not-found` */
  async find(owner: FunctionName): Promise<QueueCounters> {
    const [queue] = await this.#tasks.counters(owner)
    if (queue !== undefined) return queue
    const { account, namespace, name } = owner
    const functions = this.#catalogue.list('function', `${account}/`)
    if (!functions.some(({ value }) => value.namespace === namespace && value.name === name))
      throw await this.#unknown(owner, functions)
    return { account, namespace, name, ...NO_COUNTS, control: { isPaused: false } }
  }

  /**
   * Whether an account has functions, or ever had calls.
   *
   * @throws {ControlError} `caller/account-not-found`
   */
  async requireAccount(account: string): Promise<void> {
    if (this.#catalogue.list('function', `${account}/`).length > 0) return
    if ((await this.list(account)).length > 0) return
    throw new ControlError('caller/account-not-found', `no account ${account} has functions or calls here`, {
      fix: 'leave the account out for that of the server, or name the one that a function belongs to',
    })
  }

  async #unknown(
    { account, namespace, name }: FunctionName,
    functions: readonly Stored<'function'>[],
  ): Promise<ControlError> {
    const known = new Set(functions.map(({ value }) => `${value.namespace}/${value.name}`))
    for (const queue of await this.list(account)) known.add(`${queue.namespace}/${queue.name}`)
    const nearest = nearestOf(namespace, name, [...known].slice(0, MAX_COMPARED))
    return new ControlError(
      'caller/function-not-found',
      `account ${account} has no function ${namespace}/${name}, and never had calls of one`,
      nearest === undefined ? {} : { fix: `did you mean ${nearest}?` },
    )
  }
}

/** One half of a name is a slip at most: what two of the same namespace share makes neither near to the other. */
function nearestOf(namespace: string, name: string, known: readonly string[]): string | undefined {
  const names = known
    .filter((one) => one.startsWith(`${namespace}/`))
    .map((one) => one.slice(namespace.length + 1))
  const nearName = suggest(name, names)
  if (nearName !== undefined) return `${namespace}/${nearName}`
  const namespaces = known
    .filter((one) => one.endsWith(`/${name}`))
    .map((one) => one.slice(0, -name.length - 1))
  const nearNamespace = suggest(namespace, namespaces)
  return nearNamespace === undefined ? undefined : `${nearNamespace}/${name}`
}
