import type { FunctionVersion } from '../model/function.ts'
import type { InvokeRequest } from '../model/invocation.ts'
import type { Ending, Measured } from '../model/outcome.ts'

/** What is known of an instance when its code is set up. */
export interface InstanceFacts {
  readonly instanceId: string
  /** Where the code package is, as the process sees it. */
  readonly codeDir: string
  /** Where the tree of its layers is, as the process sees it; absent when it has none. */
  readonly layersDir?: string
  readonly region: string
  /** Temporary keys for the function's role; absent when the function has no role. */
  readonly credentials?: {
    readonly accessKeyId: string
    readonly accessKeySecret: string
    readonly securityToken: string
  }
}

/** One call's identity as the log lines of a contract show it. */
export interface LoggedCall {
  readonly requestId: string
  readonly version: FunctionVersion
}

/**
 * How the code of one vendor sees the world: its environment, its context, its error bodies and its log lines.
 *
 * The host side of a contract is this interface; its other half runs inside the sandbox
 * (`runtimes/<language>/contracts/<name>`) and is told everything through {@link HandlerContract.setup}.
 */
export interface HandlerContract {
  /** The registry key, the same word as the bootstraps' contract modules. */
  readonly name: string
  /** Where the code package is mounted, an absolute path: code may name files of its own by it. */
  readonly codeTarget: string
  /** Where the tree of a function's layers is mounted, an absolute path. */
  readonly layersTarget: string
  /** Whether the vendor's logs also show what calls returned: then {@link import('../model/call-record.ts').CallRecord.result} is kept. */
  readonly keepsResults: boolean
  /** Variables the process sees beside the user's own. The contract's win over the user's. */
  environment(version: FunctionVersion, instance: InstanceFacts): Record<string, string>
  /** Everything constant for an instance that the in-sandbox half needs to build contexts. JSON-serialisable. */
  setup(version: FunctionVersion, instance: InstanceFacts): Record<string, unknown>
  /**
   * What changes per call beyond the request id, or undefined when nothing does (the usual case, kept off the wire).
   * `qualifier` is the version or alias the caller named. JSON-serialisable.
   */
  perCall(request: InvokeRequest): Record<string, unknown> | undefined
  /** Log text before the call's own lines. Ends in a line feed or is empty. */
  logOpening(call: LoggedCall): string
  /** Log text after the call's own lines, such as an end marker and a summary of the figures. */
  logClosing(call: LoggedCall, ending: Ending, measured: Omit<Measured, 'logTail'>): string
  /** The same two around the initializer's own lines. */
  initLogOpening(call: LoggedCall): string
  initLogClosing(call: LoggedCall, failure: string | undefined): string
}
