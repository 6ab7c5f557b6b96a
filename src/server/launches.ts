import type { KeyRing } from '../auth/keyring.ts'
import type { HandlerContract } from '../contracts/contract.ts'
import type { LaunchPlan } from '../engine/instance-setup.ts'
import { layerDigests, type FunctionSpec, type FunctionVersion } from '../model/function.ts'
import type { Bootstraps } from '../sandbox/bootstraps.ts'
import type { CodeTree, CompiledCode, RunnableCode } from '../sandbox/compiled/compiled-code.ts'
import type { PrestartedSandbox } from '../sandbox/prestarted/driver.ts'
import type { SpecTemplate } from '../sandbox/prestarted/stem-class.ts'
import type { RuntimeTable } from '../sandbox/runtimes.ts'
import type { NetworkPolicy } from '../sandbox/sandbox.ts'
import { layersName } from '../store/packages/merged-name.ts'
import type { PackageStore } from '../store/packages/packages.ts'
import type { FunctionRecord } from '../store/definition-store.ts'
import { MAX_INSTANCE_AGE_MS } from './pool-limits.ts'

/** How long the keys that an instance is given stay valid: it may finish for hours what it runs when it is too old. */
const INSTANCE_KEYS_TTL_MS = MAX_INSTANCE_AGE_MS + 12 * 3_600_000
/** Functions that are prepared for a first call when the server starts: those changed last. */
const MOST_EXPECTED_AT_START = 64

interface Rooms {
  readonly contracts: ReadonlyMap<string, HandlerContract>
  readonly runtimes: RuntimeTable
  readonly bootstraps: Bootstraps
  readonly packages: Pick<PackageStore, 'treePath' | 'layersPath'>
  readonly keyring: Pick<KeyRing, 'issueTemporary'>
  readonly sandbox: Pick<PrestartedSandbox, 'expect'>
  readonly compiled: Pick<CompiledCode, 'mountsOf' | 'expect' | 'noteStart'>
  /** What functions get that do not want less. */
  readonly network: NetworkPolicy
}

/** How functions are started: the interpreter, what it is told, and what it sees. */
export class Launches {
  readonly #rooms: Rooms

  constructor(rooms: Rooms) {
    this.#rooms = rooms
  }

  /** Says how to start an instance. @throws {EngineError} `caller/runtime-missing` */
  planOf(version: FunctionVersion, instanceId: string): LaunchPlan {
    const keys =
      version.facts['role'] === undefined
        ? undefined
        : this.#rooms.keyring.issueTemporary(
            { accountId: version.account, sessionName: instanceId, ttlMs: INSTANCE_KEYS_TTL_MS },
            Date.now(),
          )
    const plan = {
      ...this.#placesOf(version),
      ...(keys === undefined ? {} : { credentials: keys }),
      spec: { ...this.#templateOf(version), functionId: version.functionId },
    }
    this.#rooms.compiled.noteStart()
    this.#expectCompiled(version)
    return plan
  }

  /** A call of this function is likely to come: what its start will need is made ready. */
  expect(spec: FunctionSpec): void {
    try {
      this.#rooms.sandbox.expect(this.#templateOf(spec))
      this.#expectCompiled(spec)
    } catch {
      // Its runtime is not there any more: the call is told.
    }
  }

  /** What its instances see of its code, and what runs it. @throws {EngineError} `caller/runtime-missing` */
  codeOf(spec: FunctionSpec): RunnableCode {
    const { packages, runtimes } = this.#rooms
    const { code, layers = [] } = spec
    const { codeTarget, layersTarget } = this.#placesOf(spec)
    const tree = { path: packages.treePath(code.digest), target: codeTarget, bytes: code.expandedBytes }
    const trees: CodeTree[] = [{ ...tree, id: code.digest }]
    if (layersTarget !== undefined) {
      const digests = layerDigests(spec)
      const bytes = layers.reduce((sum, { expandedBytes }) => sum + expandedBytes, 0)
      const path = packages.layersPath(digests)
      trees.push({ id: layersName(digests), path, target: layersTarget, bytes })
    }
    return { interpreter: runtimes.resolve(spec.runtime).interpreter, trees }
  }

  /** The server starts: of these functions, those changed last are expected. */
  expectRecent(functions: readonly FunctionRecord[]): void {
    const oldestFirst = [...functions].sort((a, b) => a.modifiedAtMs - b.modifiedAtMs)
    for (const { spec } of oldestFirst.slice(-MOST_EXPECTED_AT_START)) this.expect(spec)
  }

  /** Where the code sees itself and its layers. */
  #placesOf(spec: FunctionSpec): Pick<LaunchPlan, 'codeTarget' | 'layersTarget'> {
    const contract = this.#rooms.contracts.get(spec.contract)
    return {
      codeTarget: contract?.codeTarget ?? '/code',
      ...((spec.layers ?? []).length === 0 ? {} : { layersTarget: contract?.layersTarget ?? '/opt' }),
    }
  }

  /** Everything about a start that its function's own state decides. */
  #templateOf(spec: FunctionSpec): SpecTemplate {
    const { runtimes, bootstraps, compiled, network } = this.#rooms
    const { codeTarget } = this.#placesOf(spec)
    const plan = runtimes.launchPlan(runtimes.resolve(spec.runtime), bootstraps, spec)
    return {
      command: plan.command,
      ...(plan.forks === true && { forks: true }),
      mounts: [...plan.mounts, ...compiled.mountsOf(this.codeOf(spec))],
      environment: plan.environment,
      workDir: codeTarget,
      memoryMib: spec.memoryMib,
      diskMib: spec.diskMib,
      network: spec.network ?? network,
    }
  }

  /** Has the code compiled; then its first start is prepared anew, with what was made. */
  #expectCompiled(spec: FunctionSpec): void {
    const { compiled, sandbox } = this.#rooms
    compiled.expect(this.codeOf(spec), () => sandbox.expect(this.#templateOf(spec)))
  }
}
