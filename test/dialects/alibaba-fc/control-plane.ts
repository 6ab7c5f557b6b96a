import { FcError, fcErrorOf } from '../../../src/dialects/alibaba-fc/errors.ts'
import type {
  Answer,
  ApiVersion,
  JsonObject,
  Operation,
  Rooms,
} from '../../../src/dialects/alibaba-fc/operation.ts'
import { Catalogue } from '../../../src/engine/catalogue.ts'
import { functionKey, namespaceKey } from '../../../src/engine/keys.ts'
import { EngineError } from '../../../src/model/errors.ts'
import { LATEST } from '../../../src/model/function.ts'
import type { FunctionRecord, NamespaceRecord } from '../../../src/store/definition-store.ts'
import type { PackageStore } from '../../../src/store/packages/packages.ts'
import { MemoryDefinitions } from '../../helpers/memory-definitions.ts'

export const ACCOUNT = '1234567890123456'
export const REGION = 'cn-hangzhou'

/** 2024-05-06T07:08:09Z, with milliseconds that no answer shows. */
export const START_MS = Date.parse('2024-05-06T07:08:09.500Z')

/** What a test says of a call; everything else is the plainest there is. */
export interface CallDraft {
  readonly api?: ApiVersion
  readonly account?: string
  readonly params?: Readonly<Record<string, string>>
  readonly qualifier?: string
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: JsonObject
}

/** The operations over a real catalogue, called below routing and authentication. */
export class ControlPlane {
  readonly store: MemoryDefinitions
  catalogue: Catalogue
  nowMs = START_MS
  /** What is said of every provision record. */
  kept: { readonly ready: number; readonly failure?: string } = { ready: 0 }

  private constructor(store: MemoryDefinitions, catalogue: Catalogue) {
    this.store = store
    this.catalogue = catalogue
  }

  static async open(): Promise<ControlPlane> {
    const store = new MemoryDefinitions()
    return new ControlPlane(store, await Catalogue.open(store, () => 0))
  }

  /** Reads everything back from the store, as after a restart. */
  async reopen(): Promise<void> {
    this.catalogue = await Catalogue.open(this.store, () => 0)
  }

  /** The answer as the client decodes it: members that are `undefined` are gone. */
  async call(
    operation: Operation,
    draft: CallDraft = {},
  ): Promise<Answer & { body: Record<string, unknown> }> {
    const answer = await operation(
      {
        api: draft.api ?? '2021-04-06',
        requestId: 'request-1',
        accountId: draft.account ?? ACCOUNT,
        params: draft.params ?? {},
        ...(draft.qualifier !== undefined && { qualifier: draft.qualifier }),
        query: new Map(Object.entries(draft.query ?? {})),
        headers: draft.headers ?? {},
        body: draft.body ?? {},
        origin: 'http://127.0.0.1:7400',
      },
      {
        catalogue: this.catalogue,
        get packages(): PackageStore {
          throw new Error('no operation under test touches code packages')
        },
        get tasks(): Rooms['tasks'] {
          throw new Error('no operation under test touches tasks')
        },
        region: REGION,
        keptOf: ({ target }) => ({ target, ...this.kept }),
        now: () => this.nowMs,
        requireRuntime: () => undefined,
        links: { link: () => '' },
      },
    )
    const body: Record<string, unknown> =
      answer.body === undefined ? undefined : JSON.parse(JSON.stringify(answer.body))
    return { ...answer, body }
  }

  /** The dialect's answer to an operation that refuses. @throws when it does not refuse, or fails otherwise */
  async refusal(operation: Operation, draft: CallDraft = {}): Promise<FcError> {
    let answer: Answer
    try {
      answer = await this.call(operation, draft)
    } catch (error) {
      if (error instanceof FcError) return error
      if (error instanceof EngineError) return fcErrorOf(error)
      throw error
    }
    throw new Error(`expected a refusal, got ${JSON.stringify(answer)}`)
  }

  async putService(name: string, changes: Partial<NamespaceRecord> = {}): Promise<void> {
    await this.catalogue.change((draft) => {
      const key = namespaceKey(ACCOUNT, name)
      draft.put('namespace', key, {
        account: ACCOUNT,
        name,
        namespaceId: `id-of-${name}`,
        description: '',
        facts: {},
        lastVersion: 0,
        extras: {},
        createdAtMs: START_MS,
        modifiedAtMs: START_MS,
        ...draft.get('namespace', key)?.value,
        ...changes,
      })
    })
  }

  async putFunction(service: string, name: string, changes: Partial<FunctionRecord> = {}): Promise<void> {
    await this.catalogue.change((draft) => {
      const key = functionKey(ACCOUNT, service, name)
      draft.put('function', key, {
        account: ACCOUNT,
        namespace: service,
        name,
        version: LATEST,
        functionId: `id-of-${service}-${name}`,
        stateId: `state-of-${service}-${name}`,
        description: '',
        spec: {
          contract: 'alibaba-fc',
          runtime: 'nodejs20',
          handler: 'index.handler',
          timeoutMs: 3000,
          memoryMib: 128,
          diskMib: 512,
          instanceConcurrency: 1,
          environment: {},
          code: { digest: '0'.repeat(64), crc64: '1', sizeBytes: 1, expandedBytes: 1 },
        },
        facts: {},
        extras: {},
        createdAtMs: START_MS,
        modifiedAtMs: START_MS,
        ...draft.get('function', key)?.value,
        ...changes,
      })
    })
  }

  async removeFunction(service: string, name: string): Promise<void> {
    await this.catalogue.change((draft) => draft.delete('function', functionKey(ACCOUNT, service, name)))
  }
}

/** One member of every entry of an answer's list. */
export function column(list: unknown, name: string): unknown {
  return Array.isArray(list) ? list.map((entry: Readonly<Record<string, unknown>>) => entry[name]) : list
}
