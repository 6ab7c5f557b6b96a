// oxlint-disable typescript/no-unsafe-type-assertion -- a shelf holds the records of one kind; TypeScript cannot relate
// the key of a Map of Maps to the type of what lies in it.
import { LATEST, type FunctionVersion } from '../model/function.ts'
import type { InvokeTarget } from '../model/invocation.ts'
import type {
  AliasRecord,
  Change,
  DefinitionStore,
  FunctionRecord,
  RecordKind,
  RecordKinds,
  Stored,
} from '../store/definition-store.ts'
import { findThroughAlias } from './find-function.ts'
import { functionKey } from './keys.ts'

/** Definitions as they are now; what both readers and edits look at. */
export interface Definitions {
  get<K extends RecordKind>(kind: K, key: string): Stored<K> | undefined
  /** Records whose key begins with `prefix`, in key order. */
  list<K extends RecordKind>(kind: K, prefix: string): readonly Stored<K>[]
  /** How many records have a key that begins with `prefix`. */
  count(kind: RecordKind, prefix: string): number
}

/** Definitions as they will be if the edit is committed. */
export interface Draft extends Definitions {
  put<K extends RecordKind>(kind: K, key: string, value: RecordKinds[K]): Stored<K>
  delete(kind: RecordKind, key: string): void
}

type Shelf = Map<string, Stored>

/**
 * All definitions in memory, and the way from a name to the state of a function that answers to it.
 *
 * Reads never wait. Edits run one after another, each on the result of the one before, and become visible once they
 * are durable. A state that a commit replaced or removed is announced to {@link Catalogue.onRetired}, so that
 * its instances can finish what they run and end.
 */
export class Catalogue implements Definitions {
  readonly #store: DefinitionStore
  readonly #random: () => number
  readonly #shelves = new Map<RecordKind, Shelf>()
  readonly #versions = new Map<string, FunctionVersion>()
  #tail: Promise<unknown> = Promise.resolve()

  /** Called with the ids of states that no name leads to any more. */
  onRetired: ((stateIds: readonly string[]) => void) | undefined
  /** Called with what a commit changed, once it is visible. */
  onChanged: ((changes: readonly Change[]) => void) | undefined

  private constructor(store: DefinitionStore, random: () => number) {
    this.#store = store
    this.#random = random
  }

  /** @param random Draws the version of a weighted alias, 0 ≤ x < 1. */
  static async open(store: DefinitionStore, random: () => number = Math.random): Promise<Catalogue> {
    const catalogue = new Catalogue(store, random)
    for (const record of await store.load()) catalogue.#place(record.kind, record.key, record)
    return catalogue
  }

  get<K extends RecordKind>(kind: K, key: string): Stored<K> | undefined {
    return this.#shelf(kind).get(key) as Stored<K> | undefined
  }

  list<K extends RecordKind>(kind: K, prefix: string): readonly Stored<K>[] {
    return sorted(
      [...this.#shelf(kind).values()].filter((record) => record.key.startsWith(prefix)),
    ) as Stored<K>[]
  }

  count(kind: RecordKind, prefix: string): number {
    let count = 0
    for (const key of this.#shelf(kind).keys()) if (key.startsWith(prefix)) count += 1
    return count
  }

  /**
   * The state that answers a call now. A qualifier is a version before it is an alias, and an alias of the function before one
   * of its namespace. A weighted alias draws anew at each call.
   *
   * @throws {EngineError} `caller/namespace-not-found`, `caller/function-not-found`, `caller/version-not-found`,
   *   `caller/alias-not-found`
   */
  resolve(target: InvokeTarget): FunctionVersion {
    const { account, namespace, name, qualifier = LATEST } = target
    const direct = this.#versions.get(functionKey(account, namespace, name, qualifier))
    if (direct !== undefined) return direct
    const { key, value } = findThroughAlias(this, target, (alias) => drawVersion(alias, this.#random))
    return this.#versions.get(key) ?? functionVersionOf(value)
  }

  /**
   * Applies an edit: all of it or, when `edit` throws or the write fails, nothing.
   *
   * @param edit Runs at once after the edits before it are done; must be synchronous and free of side effects.
   * @returns What `edit` returned, once the changes are durable and visible.
   */
  change<T>(edit: (draft: Draft) => T): Promise<T> {
    const done = this.#tail.then(() => this.#apply(edit))
    this.#tail = done.catch(() => undefined)
    return done
  }

  async #apply<T>(edit: (draft: Draft) => T): Promise<T> {
    const staged = new Map<string, { kind: RecordKind; key: string; record: Stored | undefined }>()
    const result = edit(new StagedDraft(this, staged))
    const changes = [...staged.values()].map(({ kind, key, record }): Change => {
      const expectedRevision = this.get(kind, key)?.revision ?? 0
      return record === undefined
        ? { kind, key, expectedRevision }
        : { kind, key, expectedRevision, value: record.value }
    })
    if (changes.length > 0) await this.#store.commit(changes)
    const retired: string[] = []
    for (const { kind, key, record } of staged.values()) {
      const stateBefore = stateIdOf(kind, this.get(kind, key))
      if (stateBefore !== undefined && stateBefore !== stateIdOf(kind, record)) retired.push(stateBefore)
      this.#place(kind, key, record)
    }
    if (retired.length > 0) this.onRetired?.(retired)
    if (changes.length > 0) this.onChanged?.(changes)
    return result
  }

  #shelf(kind: RecordKind): Shelf {
    let shelf = this.#shelves.get(kind)
    if (shelf === undefined) this.#shelves.set(kind, (shelf = new Map<string, Stored>()))
    return shelf
  }

  #place(kind: RecordKind, key: string, record: Stored | undefined): void {
    if (record === undefined) this.#shelf(kind).delete(key)
    else this.#shelf(kind).set(key, Object.freeze(record))
    if (kind !== 'function') return
    if (record === undefined) this.#versions.delete(key)
    else this.#versions.set(key, functionVersionOf(record.value as FunctionRecord))
  }
}

class StagedDraft implements Draft {
  readonly #base: Definitions
  readonly #staged: Map<string, { kind: RecordKind; key: string; record: Stored | undefined }>

  constructor(
    base: Definitions,
    staged: Map<string, { kind: RecordKind; key: string; record: Stored | undefined }>,
  ) {
    this.#base = base
    this.#staged = staged
  }

  get<K extends RecordKind>(kind: K, key: string): Stored<K> | undefined {
    const staged = this.#staged.get(`${kind} ${key}`)
    return staged === undefined ? this.#base.get(kind, key) : (staged.record as Stored<K> | undefined)
  }

  list<K extends RecordKind>(kind: K, prefix: string): readonly Stored<K>[] {
    const records = new Map(this.#base.list(kind, prefix).map((record) => [record.key, record]))
    for (const { kind: stagedKind, key, record } of this.#staged.values()) {
      if (stagedKind !== kind || !key.startsWith(prefix)) continue
      if (record === undefined) records.delete(key)
      else records.set(key, record as Stored<K>)
    }
    return sorted([...records.values()])
  }

  count(kind: RecordKind, prefix: string): number {
    let count = this.#base.count(kind, prefix)
    for (const { kind: stagedKind, key, record } of this.#staged.values()) {
      if (stagedKind !== kind || !key.startsWith(prefix)) continue
      count += Number(record !== undefined) - Number(this.#base.get(kind, key) !== undefined)
    }
    return count
  }

  put<K extends RecordKind>(kind: K, key: string, value: RecordKinds[K]): Stored<K> {
    const revision = (this.#base.get(kind, key)?.revision ?? 0) + 1
    const record: Stored<K> = { kind, key, revision, value }
    this.#staged.set(`${kind} ${key}`, { kind, key, record })
    return record
  }

  delete(kind: RecordKind, key: string): void {
    const existed = this.#base.get(kind, key) !== undefined
    if (existed) this.#staged.set(`${kind} ${key}`, { kind, key, record: undefined })
    else this.#staged.delete(`${kind} ${key}`)
  }
}

function sorted<S extends Stored>(records: S[]): S[] {
  return records.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
}

function stateIdOf(kind: RecordKind, record: Stored | undefined): string | undefined {
  return kind === 'function' && record !== undefined ? (record.value as FunctionRecord).stateId : undefined
}

function drawVersion(alias: AliasRecord, random: () => number): string {
  const weights = Object.entries(alias.weights)
  if (weights.length === 0) return alias.version
  let draw = random()
  for (const [version, share] of weights) {
    draw -= share
    if (draw < 0) return version
  }
  return alias.version
}

function functionVersionOf(record: FunctionRecord): FunctionVersion {
  return Object.freeze({
    ...record.spec,
    id: record.stateId,
    functionId: record.functionId,
    account: record.account,
    namespace: record.namespace,
    name: record.name,
    version: record.version,
    facts: record.facts,
  })
}
