import { createHmac, createSecretKey } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { DeliveryEvent } from './async/delivery-event.ts'
import { AsyncDelivery } from './async/delivery.ts'
import { KeyRing } from './auth/keyring.ts'
import type { Config } from './config/schema.ts'
import type { Credentials } from './config/credentials.ts'
import { alibabaFc } from './contracts/alibaba-fc.ts'
import type { HandlerContract } from './contracts/contract.ts'
import { huaweiFunctionGraph } from './contracts/huawei-functiongraph.ts'
import { tencentScf } from './contracts/tencent-scf.ts'
import { createAlibabaFc } from './dialects/alibaba-fc/dialect.ts'
import { createHuaweiFunctionGraph } from './dialects/huawei-functiongraph/dialect.ts'
import { createTencentScf } from './dialects/tencent-scf/dialect.ts'
import { Admission } from './engine/admission.ts'
import { Catalogue } from './engine/catalogue.ts'
import { functionsThatEnded } from './engine/ended-functions.ts'
import { Engine } from './engine/engine.ts'
import type { LaunchPlan } from './engine/instance.ts'
import { Kept, type KeptEvent } from './engine/kept.ts'
import { qualifiedKey } from './engine/keys.ts'
import { PayloadBudget } from './engine/payload-budget.ts'
import type { PoolLimits } from './engine/pool-setup.ts'
import { Pool } from './engine/pool.ts'
import { makeTicketFile } from './engine/ticket-file.ts'
import { Listener, type ReadinessCheck } from './http/server.ts'
import { CodeLinks } from './intake/code-link.ts'
import type { FunctionSpec, FunctionVersion } from './model/function.ts'
import { LogFiles } from './observe/log-files.ts'
import type { OperatorLog } from './observe/operator-log.ts'
import { materialiseBootstraps } from './sandbox/bootstraps.ts'
import { examineHost, type HostFinding } from './sandbox/host-examination.ts'
import { compilePython } from './sandbox/compile-python.ts'
import { requireNamedInterpreters } from './sandbox/interpreters.ts'
import { MemoryWatch } from './sandbox/memory.ts'
import { chooseNetwork, type ChosenNetwork } from './sandbox/network/choice.ts'
import { PrestartedSandbox } from './sandbox/prestarted/driver.ts'
import type { SpecTemplate } from './sandbox/prestarted/stem-class.ts'
import { chooseSandbox } from './sandbox/probe.ts'
import { RuntimeTable } from './sandbox/runtimes.ts'
import type { Mount } from './sandbox/sandbox.ts'
import { memoryBackedDir } from './sandbox/server-directory.ts'
import { withLayers } from './store/packages/layered-definitions.ts'
import { PackageStore } from './store/packages/packages.ts'
import { SqliteStore } from './store/sqlite/sqlite-store.ts'
import type { NewTask } from './store/store.ts'

/** An instance that is older takes no more calls. */
const MAX_INSTANCE_AGE_MS = 24 * 3_600_000
/** How long the keys that an instance is given stay valid: it may finish for hours what it runs when it is too old. */
const INSTANCE_KEYS_TTL_MS = MAX_INSTANCE_AGE_MS + 12 * 3_600_000
/** Asynchronous calls run at a time: many, so that a function that takes long leaves room for others. */
const PARALLEL_ASYNC_RUNS = 256
/** How often code packages and logs that belong to no function any more are removed. */
const SWEEP_MS = 3_600_000
/** Functions that are prepared for a first call when the server starts: those changed last. */
const MOST_EXPECTED_AT_START = 64
const MIB = 1024 * 1024

/** A server that answers. */
export interface RunningServer {
  readonly address: { readonly host: string; readonly port: number }
  /** Which sandbox runs functions, why, and what the operator should know about it. */
  readonly sandbox: { readonly name: string; readonly detail: string; readonly warning?: string }
  /** What functions reach, and why not more. */
  readonly network: ChosenNetwork
  /**
   * Drains: no new calls, those inside get `graceMs` to end, stored asynchronous calls stay stored. Resolves when no
   * process of any function runs and everything is on disk. Further calls wait for the first.
   */
  stop(graceMs: number): Promise<void>
}

/**
 * Looks at what the settings name outside the data directory, and changes nothing.
 *
 * @throws {InterpreterUnusable} an interpreter that is named cannot be used.
 */
export async function checkInterpreters({ nodePath, pythonPath }: Config): Promise<void> {
  await requireNamedInterpreters({ nodePath, pythonPath })
}

/** Looks at everything of this host that functions run on, by trying it; leaves nothing behind. */
export async function examineHostFor({ nodePath, pythonPath }: Config): Promise<readonly HostFinding[]> {
  return await examineHost({ nodePath, pythonPath })
}

/**
 * Builds the server out of its rooms and starts it: the one place that constructs things.
 *
 * @throws when the data directory is locked or unusable, no sandbox works, or the address is taken; nothing is left
 *   running then.
 */
export async function startServer(
  config: Config,
  credentials: Credentials,
  log: OperatorLog,
): Promise<RunningServer> {
  await using undo = new AsyncDisposableStack()
  const { dataDir, region } = config
  await mkdir(dataDir, { recursive: true, mode: 0o700 })

  const store = undo.adopt(
    await SqliteStore.open({
      file: join(dataDir, 'anvoke.db'),
      maxQueuedTasks: config.maxQueuedTasks,
      onFailure: (error) => {
        log.error('the store failed; the server ends, a new start can recover', { error })
        // What was acknowledged is safe, nothing more can be: better no server than one that forgets.
        setImmediate(() => {
          throw error
        })
      },
    }),
    (opened) => opened.close(),
  )
  const packages = undo.adopt(await PackageStore.open({ dir: join(dataDir, 'packages') }), (opened) =>
    opened.close(),
  )
  const [chosen, bootstraps, runtimes, catalogue] = await Promise.all([
    chooseSandbox(config.sandbox),
    materialiseBootstraps(join(dataDir, 'runtimes')),
    RuntimeTable.discover({ nodePath: config.nodePath, pythonPath: config.pythonPath }),
    Catalogue.open(withLayers(store.definitions, packages)),
  ])
  const sandbox = undo.adopt(
    await PrestartedSandbox.open({
      driver: chosen.sandbox,
      dir: join(dataDir, 'stems'),
      perClass: config.stemsPerClass,
      makeTickets: () => makeTicketFile(memoryBackedDir()),
    }),
    (opened) => opened.close(),
  )
  const network = await chooseNetwork(config.network, chosen.sandbox)
  const logs = undo.adopt(
    new LogFiles({
      dir: join(dataDir, 'logs'),
      maxFileBytes: config.logFileMib * MIB,
      maxFiles: config.logFilesPerFunction,
      onFailure: (error) => log.error('function logs cannot be written', { error }),
    }),
    (files) => files.close(),
  )

  const keyring = new KeyRing(
    [
      {
        accessKeyId: credentials.accessKeyId,
        accessKeySecret: credentials.accessKeySecret,
        accountId: config.accountId,
      },
    ],
    credentials.signingKey,
  )
  const budget = new PayloadBudget(config.payloadBudgetMib * MIB)
  const clock = (): number => performance.now()
  const contracts = new Map<string, HandlerContract>(
    [alibabaFc, huaweiFunctionGraph, tencentScf].map((contract) => [contract.name, contract]),
  )
  const memory = new MemoryWatch()

  /** Everything about a start that its function's own state decides. */
  const placesOf = (spec: FunctionSpec) => {
    const contract = contracts.get(spec.contract)
    return {
      codeTarget: contract?.codeTarget ?? '/code',
      ...((spec.layers ?? []).length === 0 ? {} : { layersTarget: contract?.layersTarget ?? '/opt' }),
    }
  }
  const templateOf = (spec: FunctionSpec): SpecTemplate => {
    const { codeTarget, layersTarget } = placesOf(spec)
    const plan = runtimes.launchPlan(runtimes.resolve(spec.runtime), bootstraps, spec)
    const mounts: Mount[] = [
      ...plan.mounts,
      { source: packages.treePath(spec.code.digest), target: codeTarget, holdsCode: true },
    ]
    if (layersTarget !== undefined)
      mounts.push({ source: packages.layersPath(layersOf(spec)), target: layersTarget, holdsCode: true })
    return {
      command: plan.command,
      mounts,
      environment: plan.environment,
      workDir: codeTarget,
      memoryMib: spec.memoryMib,
      diskMib: spec.diskMib,
      network: spec.network ?? network.policy,
    }
  }
  const launch = (version: FunctionVersion, instanceId: string): LaunchPlan => {
    const keys =
      version.facts['role'] === undefined
        ? undefined
        : keyring.issueTemporary(
            { accountId: version.account, sessionName: instanceId, ttlMs: INSTANCE_KEYS_TTL_MS },
            Date.now(),
          )
    return {
      ...placesOf(version),
      ...(keys === undefined ? {} : { credentials: keys }),
      spec: { ...templateOf(version), functionId: version.functionId },
    }
  }
  /** A call of this function is likely to come. */
  const expectStart = (spec: FunctionSpec): void => {
    try {
      sandbox.expect(templateOf(spec))
    } catch {
      // Its runtime is not there any more: the call is told.
    }
  }

  const limits: PoolLimits = {
    maxInstances: config.maxInstances,
    maxInstancesPerFunction: config.maxInstancesPerFunction,
    maxInstanceAgeMs: MAX_INSTANCE_AGE_MS,
    // The cap set for a version holds for its instances; one set for an alias holds for none.
    maxInstancesOf: ({ account, namespace, name, version }) =>
      catalogue.get('scaling', qualifiedKey(account, namespace, name, version))?.value.maxInstances,
    maxConcurrentStarts: config.maxConcurrentStarts,
    memoryBudgetMib: config.memoryBudgetMib,
    idleTimeoutMs: config.idleTimeoutSeconds * 1000,
    ...(config.freezeAfterMs === 0 ? {} : { freezeAfterMs: config.freezeAfterMs }),
    queueTimeoutMs: config.queueTimeoutSeconds * 1000,
  }
  const pool = new Pool(
    {
      sandbox,
      budget,
      region,
      startTimeoutMs: config.startTimeoutSeconds * 1000,
      ticketDir: memoryBackedDir(),
      clock,
      watchMemory: (process, limitBytes, follower) => memory.watch(process, limitBytes, follower),
    },
    limits,
    launch,
    {
      instanceStarted: (instance) =>
        log.debug('instance started', { instance: instance.id, function: instance.version.name }),
      instanceEnded: (instance, ending) =>
        // Not all of the ending: it may hold what the function answered.
        log.debug('instance ended', {
          instance: instance.id,
          function: instance.version.name,
          ending: ending.kind,
          ...('reason' in ending ? { reason: ending.reason } : {}),
        }),
    },
  )
  const kept = new Kept({
    catalogue,
    pool,
    contracts,
    limits,
    clock,
    observe: (event) => tellKept(log, event),
  })
  pool.keeper = kept
  catalogue.onRetired = (stateIds) => pool.retire(stateIds)
  catalogue.onChanged = (changes) => {
    kept.follow(changes)
    if (changes.some(({ kind }) => kind === 'scaling')) pool.applyCaps()
    for (const { kind, value } of changes)
      if (kind === 'function' && value !== undefined && 'spec' in value) expectStart(value.spec)
    for (const name of functionsThatEnded(changes, catalogue)) void logs.remove(name)
  }

  const admission = new Admission({
    maxCallsPerFunction: config.maxCallsPerFunction,
    maxCalls: config.maxCalls,
  })
  const engine = new Engine({ catalogue, admission, pool, contracts, logs, clock })
  const delivery = new AsyncDelivery({
    tasks: store.tasks,
    invoke: (request, caller) => engine.invoke(request, caller),
    terminate: (account, requestId) => engine.terminate(account, requestId),
    parallelRuns: PARALLEL_ASYNC_RUNS,
    observe: (event) => tellDelivery(log, event),
  })
  const links = new CodeLinks({
    key: createSecretKey(createHmac('sha256', credentials.signingKey).update('code links').digest()),
    packages,
    now: Date.now,
  })
  let ownPort: number | undefined
  const tasks = {
    enqueue: async (task: NewTask): Promise<void> => {
      await store.tasks.enqueue(task)
      delivery.notify(task.dueAtMs)
    },
    find: store.tasks.find.bind(store.tasks),
    list: store.tasks.list.bind(store.tasks),
    cancel: store.tasks.cancel.bind(store.tasks),
    terminate: delivery.terminate.bind(delivery),
  }
  /** What every dialect may use. */
  const rooms = {
    catalogue,
    packages,
    keyring,
    engine,
    tasks,
    history: logs,
    keptOf: kept.keptOf.bind(kept),
    requireRuntime: (name: string): void => void runtimes.resolve(name),
    region,
    now: Date.now,
    links,
    ownPort: (): number | undefined => ownPort,
    observe: (error: unknown): void => log.error('a request failed for a reason of our own', { error }),
  }
  const listener = new Listener({
    dialects: [
      createAlibabaFc(rooms),
      createHuaweiFunctionGraph({
        ...rooms,
        tokenKey: createSecretKey(
          createHmac('sha256', credentials.signingKey).update('user tokens').digest(),
        ),
        users: [{ accountId: config.accountId, accessKeyId: credentials.accessKeyId }],
      }),
      createTencentScf(rooms),
    ],
    budget,
    checks: () => [
      sandboxCheck(chosen),
      { name: `network ${network.policy}`, ok: true, detail: network.detail },
    ],
    onFault: (error) => log.error('a dialect broke its promise', { error }),
    maxConnections: config.maxConnections,
  })

  await ensureLayers(catalogue, packages, log)
  const address = await listener.listen(config.listen.host, config.listen.port)
  ownPort = address.port
  delivery.start()
  kept.begin()
  const functions = catalogue.list('function', '').map(({ value }) => value)
  functions.sort((a, b) => a.modifiedAtMs - b.modifiedAtMs)
  for (const { spec } of functions.slice(-MOST_EXPECTED_AT_START)) expectStart(spec)
  const compiling = new AbortController()
  undo.defer(() => compiling.abort())
  compilePython(bootstraps.python, runtimes.interpreters, compiling.signal).catch((error: unknown) => {
    if (!compiling.signal.aborted) log.warn('Python functions start slower than they could', { error })
  })
  const sweep = (): void => {
    void logs.sweep(() => catalogue.list('function', '').map(({ value }) => value))
    const specs: FunctionSpec[] = catalogue.list('function', '').map(({ value }) => value.spec)
    specs.push(...pool.versionsInUse)
    const live = new Set(specs.map(({ code }) => code.digest))
    for (const { value } of catalogue.list('layer', '')) live.add(value.code.digest)
    packages
      .sweep(live, specs.map(layersOf))
      .catch((error: unknown) => log.error('old code packages were not removed', { error }))
  }
  sweep()
  const sweepTimer = setInterval(sweep, SWEEP_MS)
  sweepTimer.unref()
  const opened = undo.move()

  const stop = async (graceMs: number): Promise<void> => {
    clearInterval(sweepTimer)
    listener.beginDrain()
    engine.stopAdmitting()
    await Promise.all([delivery.drain(graceMs), pool.close(graceMs), listener.close(graceMs)])
    memory.close()
    await opened.disposeAsync()
  }
  let stopping: Promise<void> | undefined
  return {
    address: { host: config.listen.host, port: address.port },
    sandbox: {
      name: chosen.sandbox.name,
      detail: findingOf(chosen),
      ...(chosen.warning === undefined ? {} : { warning: chosen.warning }),
    },
    network,
    stop: (graceMs) => (stopping ??= stop(graceMs)),
  }
}

/** The digests of what is seen beside the code. */
function layersOf({ layers }: FunctionSpec): readonly string[] {
  return (layers ?? []).map(({ digest }) => digest)
}

/** No function is recorded without its layers; what was lost since is made again before anything runs. */
async function ensureLayers(catalogue: Catalogue, packages: PackageStore, log: OperatorLog): Promise<void> {
  const seen = new Set<string>()
  for (const { key, value } of catalogue.list('function', '')) {
    const layers = layersOf(value.spec)
    const name = layers.join(' ')
    if (seen.has(name)) continue
    seen.add(name)
    await packages.ensureLayers(layers).catch((error: unknown) => {
      log.error('the layers of a function are not there; it cannot start', { function: key, error })
    })
  }
}

function sandboxCheck(chosen: Awaited<ReturnType<typeof chooseSandbox>>): ReadinessCheck {
  const detail = [chosen.warning, findingOf(chosen)].filter((text) => text !== undefined).join(' ')
  return { name: `sandbox ${chosen.sandbox.name}`, ok: true, detail }
}

/** What the probe of the driver that runs functions told. */
function findingOf({ sandbox, findings }: Awaited<ReturnType<typeof chooseSandbox>>): string {
  return findings.find(({ driver }) => driver === sandbox.name)?.detail ?? ''
}

function tellKept(log: OperatorLog, event: KeptEvent): void {
  const { account, namespace, name, version } = event.version
  const whose = { account, function: `${namespace}/${name}`, version }
  if (event.kind === 'failing')
    log.warn('instances that are kept ready fail; they are tried again', { ...whose, reason: event.reason })
  else
    log.warn('fewer instances are kept ready than asked for: the limits allow no more', {
      ...whose,
      asked: event.asked,
      kept: event.granted,
    })
}

function tellDelivery(log: OperatorLog, event: DeliveryEvent): void {
  switch (event.kind) {
    case 'engineFaulted':
    case 'queueFailed':
      log.error(`asynchronous delivery: ${event.kind}`, { error: event.error })
      return
    case 'leaseLost':
      log.warn('asynchronous delivery: another server took a task over', { request: event.task.requestId })
      return
    case 'ended':
      if (event.ending === 'succeeded' || event.ending === 'cancelled') return
      log.warn('an asynchronous call was given up', {
        request: event.task.requestId,
        function: `${event.task.namespace}/${event.task.functionName}`,
        ending: event.ending,
        reason: event.lastError,
      })
      return
    case 'modeChanged':
    case 'started':
    case 'postponed':
      return
  }
}
