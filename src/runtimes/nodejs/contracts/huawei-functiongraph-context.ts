import { FunctionGraphLogger } from './huawei-functiongraph-logger.ts'

/** What the host's half of the contract says once per instance. */
export interface InstanceContext {
  /** The runtime name's first number: 6 for Node.js6.10. */
  readonly generation: number
  readonly maxResultBytes: number
  readonly projectId: string
  readonly package: string
  readonly functionName: string
  /** `latest` or the version's name. */
  readonly version: string
  readonly timeoutMs: number
  readonly timeoutSeconds: number
  readonly memoryMb: number
  /** Thousandths of a core. */
  readonly cpu: number
  readonly userData: Readonly<Record<string, string>>
  readonly credentials: {
    readonly accessKey: string
    readonly secretKey: string
    readonly securityToken: string
  }
}

/** What differs between the calls of an instance. */
export interface CallFacts {
  readonly requestId: string
  /** The alias that it was called through; empty when there was none. */
  readonly alias: string
  /** Milliseconds since it began. */
  readonly elapsedMs: () => number
  /** Writes one finished line of the log. */
  readonly write: (level: 'info' | 'error', line: string) => void
}

/**
 * The `context` of one call. Memory and processor are texts, as in the vendor's runtime.
 *
 * Keys are there where the function has an agency; a token of the identity service, steps of a workflow and a state that is kept
 * between calls do not exist here: they are empty, and what {@link Context.setState} is given lives as long as the call.
 */
export class Context {
  /** The vendor's stateful functions use the member itself, too. */
  state: unknown = null
  readonly #instance: InstanceContext
  readonly #call: CallFacts
  readonly #logger: FunctionGraphLogger

  constructor(instance: InstanceContext, call: CallFacts) {
    this.#instance = instance
    this.#call = call
    this.#logger = new FunctionGraphLogger(call.requestId, call.write)
  }

  getRequestID(): string {
    return this.#call.requestId
  }

  getRemainingTimeInMilliSeconds(): number {
    return Math.max(0, Math.floor(this.#instance.timeoutMs - this.#call.elapsedMs()))
  }

  getAccessKey(): string {
    return this.#instance.credentials.accessKey
  }

  getSecretKey(): string {
    return this.#instance.credentials.secretKey
  }

  getSecurityAccessKey(): string {
    return this.#instance.credentials.accessKey
  }

  getSecuritySecretKey(): string {
    return this.#instance.credentials.secretKey
  }

  getSecurityToken(): string {
    return this.#instance.credentials.securityToken
  }

  getToken(): string {
    return ''
  }

  getUserData(key: string): string | undefined {
    const { userData } = this.#instance
    return Object.hasOwn(userData, key) ? userData[key] : undefined
  }

  getFunctionName(): string {
    return this.#instance.functionName
  }

  /** The time limit of a call, whole seconds. */
  getRunningTimeInSeconds(): number {
    return this.#instance.timeoutSeconds
  }

  getVersion(): string {
    return this.#instance.version
  }

  getAlias(): string {
    return this.#call.alias
  }

  getMemorySize(): string {
    return String(this.#instance.memoryMb)
  }

  getCPUNumber(): string {
    return String(this.#instance.cpu)
  }

  getProjectID(): string {
    return this.#instance.projectId
  }

  getPackage(): string {
    return this.#instance.package
  }

  getLogger(): FunctionGraphLogger {
    return this.#logger
  }

  getState(): unknown {
    return this.state
  }

  setState(state: unknown): void {
    this.state = state
  }

  getWorkflowID(): string {
    return ''
  }

  getWorkflowRunID(): string {
    return ''
  }

  getWorkflowStateID(): string {
    return ''
  }
}
