import {
  RevisionConflict,
  type Change,
  type DefinitionStore,
  type Stored,
} from '../../src/store/definition-store.ts'

/** Keeps definitions as the durable stores do: as JSON, all changes of a commit or none, each held to its revision. */
export class MemoryDefinitions implements DefinitionStore {
  readonly #rows = new Map<string, { revision: number; json: string }>()
  /** How many commits went through. */
  commits = 0

  async load(): Promise<readonly Stored[]> {
    return [...this.#rows.values()].map(({ json }): Stored => JSON.parse(json))
  }

  async commit(changes: readonly Change[]): Promise<void> {
    for (const { kind, key, expectedRevision } of changes)
      if ((this.#rows.get(`${kind} ${key}`)?.revision ?? 0) !== expectedRevision)
        throw new RevisionConflict(key)
    for (const { kind, key, expectedRevision, value } of changes) {
      const row = `${kind} ${key}`
      if (value === undefined) this.#rows.delete(row)
      else {
        const revision = expectedRevision + 1
        this.#rows.set(row, { revision, json: JSON.stringify({ kind, key, revision, value }) })
      }
    }
    this.commits += 1
  }
}
