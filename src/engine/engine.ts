import type { HandlerContract } from '../contracts/contract.ts'
import { EngineError } from '../model/errors.ts'
import type { FunctionVersion } from '../model/function.ts'
import type { Caller, InvokeRequest, InvokeTarget } from '../model/invocation.ts'
import type { Outcome } from '../model/outcome.ts'
import type { Admission, NameBound } from './admission.ts'
import { Call } from './call.ts'
import type { LogKeeper } from './call-log.ts'
import type { Catalogue } from './catalogue.ts'
import { qualifiedKey } from './keys.ts'
import type { Pool } from './pool.ts'

interface Rooms {
  readonly catalogue: Catalogue
  readonly admission: Admission
  readonly pool: Pool
  readonly contracts: ReadonlyMap<string, HandlerContract>
  readonly logs: LogKeeper
  /** Monotonic milliseconds. */
  readonly clock: () => number
}

/** The façade: one call from its name to its outcome. */
export class Engine {
  readonly #rooms: Rooms
  #draining = false

  constructor(rooms: Rooms) {
    this.#rooms = rooms
  }

  /**
   * Runs one call to its end and resolves with what the function did.
   *
   * Handler exceptions, timeouts and crashes are outcomes. The promise rejects only when the function was never given
   * the event, so a rejected call is always safe to repeat.
   *
   * @param caller Ends the waiting when it hangs up. Never ends a handler that already has the event: that runs on,
   *   its log and figures are kept, and its outcome is `cancelled`.
   * @throws {EngineError} `caller/…-not-found`, `caller/concurrency-exceeded`, `caller/runtime-missing`,
   *   `caller/memory-unavailable`, `caller/gone`,
   *   `platform/no-capacity`, `platform/start-failed`, `platform/draining`
   */
  invoke(request: InvokeRequest, caller: Caller): Promise<Outcome> {
    // One promise from here to the answer: each further one is a turn of the queue for every call.
    return new Promise<Outcome>((resolve, reject) => {
      if (this.#draining) throw new EngineError('platform/draining', {})
      const { catalogue, admission, pool, contracts, logs, clock } = this.#rooms
      const version = catalogue.resolve(request.target)
      const contract = contracts.get(version.contract)
      if (contract === undefined)
        throw new EngineError('platform/start-failed', { reason: `no contract '${version.contract}'` })
      const bound = boundOf(request.target, version, catalogue)
      admission.enter(version, bound)
      let isInside = true
      const leave = (): void => {
        if (isInside) admission.leave(version, bound)
        isInside = false
      }
      const call = new Call(
        { version, request, caller, contract, enteredAtMs: clock(), logs },
        (outcome) => {
          leave()
          resolve(outcome)
        },
        (error) => {
          leave()
          reject(error)
        },
      )
      try {
        pool.run(call)
      } catch (error) {
        leave()
        throw error
      }
    })
  }

  /**
   * Ends the call of this caller, whether it waits or runs. One that runs ends with its instance: others that have
   * begun there are told that it crashed, those that have not begun are delivered again. The call's outcome is
   * `terminated`, unless it came to its end meanwhile. Rare and slow beside a call.
   *
   * @param caller The very object that {@link Engine.invoke} was given, of one call alone: request ids may be chosen by clients, and be
   *   those of several calls.
   * @param graceMs How long the instance may go on after its code was told to end (SIGTERM), before all of it is killed; what it
   *   comes to by itself in that time is the outcome. 0, the default: at once, and nothing is told.
   * @returns False when no such call waits or runs here.
   */
  terminate(caller: Caller, graceMs = 0): boolean {
    return this.#rooms.pool.terminate(caller, graceMs)
  }

  /** Refuses every further call. */
  stopAdmitting(): void {
    this.#draining = true
  }
}

/** The cap that is set for an alias. Those of versions are the pool's: instances belong to versions, which aliases share. */
function boundOf(
  { account, namespace, name, qualifier }: InvokeTarget,
  version: FunctionVersion,
  catalogue: Catalogue,
): NameBound | undefined {
  if (qualifier === undefined || qualifier === version.version) return undefined
  const key = qualifiedKey(account, namespace, name, qualifier)
  const instances = catalogue.get('scaling', key)?.value.maxInstances
  return instances === undefined ? undefined : { key, instances }
}
