import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { assertSoundUnlessOut } from '../../helpers/soundness.ts'
import { SqliteStore, type SqliteStoreOptions } from '../../../src/store/sqlite/sqlite-store.ts'
import type { DefinitionStore } from '../../../src/store/definition-store.ts'
import type { TaskLookup, TaskOperations, TaskQueue } from '../../../src/store/task-queue.ts'

/** A store in a directory of its own, which goes away with it. */
export class StoreHarness {
  readonly file: string
  readonly #dir: string
  readonly #options: Omit<SqliteStoreOptions, 'file'>
  readonly #sound: Promise<void>[] = []
  store: SqliteStore

  private constructor(
    dir: string,
    file: string,
    options: Omit<SqliteStoreOptions, 'file'>,
    store: SqliteStore,
  ) {
    this.#dir = dir
    this.file = file
    this.#options = options
    this.store = store
  }

  static async open(options: Omit<SqliteStoreOptions, 'file'> = {}): Promise<StoreHarness> {
    const dir = await mkdtemp(join(tmpdir(), 'anvoke-store-'))
    const file = join(dir, 'store.db')
    return new StoreHarness(dir, file, options, await SqliteStore.open({ file, ...options }))
  }

  tasks = (): TaskQueue & TaskLookup & TaskOperations => this.store.tasks
  definitions = (): DefinitionStore => this.store.definitions

  restart = async (): Promise<void> => {
    this.#sound.push(assertSoundUnlessOut(this.store.tasks))
    await Promise.allSettled(this.#sound)
    await this.store.close()
    this.store = await SqliteStore.open({ file: this.file, ...this.#options })
  }

  reopen = this.restart

  /** Fails also when what the store counted of its tasks and deliveries was off, now or before a restart. */
  close = async (): Promise<void> => {
    this.#sound.push(assertSoundUnlessOut(this.store.tasks))
    await Promise.allSettled(this.#sound)
    await this.store.close()
    await rm(this.#dir, { recursive: true })
    await Promise.all(this.#sound)
  }
}
