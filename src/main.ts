import { createHmac, createSecretKey, type KeyObject } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { startClock, type Clock } from './async/clock.ts'
import { AsyncDelivery } from './async/delivery.ts'
import { refusedDestinations } from './async/destinations/configured.ts'
import { attemptDelivery } from './async/destinations/delivery-attempt.ts'
import { DestinationWorker } from './async/destinations/destination-worker.ts'
import { planDelivery } from './async/destinations/planner.ts'
import { WebhookClient } from './async/destinations/webhook.ts'
import { TaskService } from './async/task-service.ts'
import { KeyRing } from './auth/keyring.ts'
import type { Config } from './config/schema.ts'
import type { Credentials } from './config/credentials.ts'
import { CONTRACTS } from './contracts/registry.ts'
import { openControl } from './control/open-control.ts'
import { destinationWords as alibabaFcWords } from './dialects/alibaba-fc/destination-words.ts'
import { createAlibabaFc } from './dialects/alibaba-fc/dialect.ts'
import { DIALECT as ALIBABA_FC } from './dialects/alibaba-fc/own-extras.ts'
import { destinationWords as huaweiFunctionGraphWords } from './dialects/huawei-functiongraph/destination-words.ts'
import { createHuaweiFunctionGraph } from './dialects/huawei-functiongraph/dialect.ts'
import { DIALECT as HUAWEI_FUNCTIONGRAPH } from './dialects/huawei-functiongraph/operation.ts'
import { createDestinationWords as tencentScfWords } from './dialects/tencent-scf/destination-words.ts'
import { createTencentScf } from './dialects/tencent-scf/dialect.ts'
import { DIALECT as TENCENT_SCF } from './dialects/tencent-scf/operation.ts'
import { Admission } from './engine/admission.ts'
import { Catalogue } from './engine/catalogue.ts'
import { deletedAmong } from './engine/deleted-functions.ts'
import { functionsThatEnded } from './engine/ended-functions.ts'
import { Engine } from './engine/engine.ts'
import { Kept } from './engine/kept.ts'
import { PayloadBudget } from './engine/payload-budget.ts'
import { Pool } from './engine/pool.ts'
import { makeTicketFile } from './engine/ticket-file.ts'
import { Listener } from './http/server.ts'
import { CodeLinks } from './intake/code-link.ts'
import { LogFiles } from './observe/log-files.ts'
import type { InvokeTarget } from './model/invocation.ts'
import type { OperatorLog } from './observe/operator-log.ts'
import { materialiseBootstraps } from './sandbox/bootstraps.ts'
import { CompiledCode } from './sandbox/compiled/compiled-code.ts'
import { MemoryWatch } from './sandbox/memory.ts'
import { chooseNetwork, type ChosenNetwork } from './sandbox/network/choice.ts'
import { PrestartedSandbox } from './sandbox/prestarted/driver.ts'
import { chooseSandbox } from './sandbox/probe.ts'
import type { TicketFile } from './sandbox/sandbox.ts'
import { RuntimeTable } from './sandbox/runtimes.ts'
import { memoryBackedDir } from './sandbox/server-directory.ts'
import { Launches } from './server/launches.ts'
import {
  tellDelivery,
  tellDestinations,
  tellDrain,
  tellInstances,
  tellKept,
  tellRefused,
} from './server/notices.ts'
import { tellQueueTime } from './server/queue-time.ts'
import { compileAhead } from './server/compile-ahead.ts'
import { StoreGuard } from './server/store-guard.ts'
import { checkPlaces, discoverySettingsOf } from './server/places.ts'
import { poolLimitsOf } from './server/pool-limits.ts'
import { queueLimitsOf } from './server/queue-limits.ts'
import { noteOf, readinessOf, type SandboxNote } from './server/readiness.ts'
import { Sweeper } from './server/sweeper.ts'
import { restoreLayers, withLayers } from './store/packages/layered-definitions.ts'
import { PackageStore } from './store/packages/packages.ts'
import { SqliteStore } from './store/sqlite/sqlite-store.ts'
import { damageIn } from './store/sqlite/store-refused.ts'

const MIB = 1024 * 1024

export { makeEphemeralDir } from './server/ephemeral-dir.ts'
export { checkInterpreters, checkPlaces, examineHostFor } from './server/places.ts'
export { examineDatabase } from './store/sqlite/examination.ts'

/** What a stop has come to. */
interface StopReport {
  /** Runs of asynchronous calls that did not end in the time they were given, or failed in it: the next start runs those calls again. */
  readonly asyncRunsPutBack: number
}

/** A server that answers. */
export interface RunningServer {
  readonly address: { readonly host: string; readonly port: number }
  readonly sandbox: SandboxNote
  /** What functions reach, and why not more. */
  readonly network: ChosenNetwork
  /**
   * Drains: no new calls, those inside get `graceMs` to end, stored asynchronous calls stay stored. Resolves when no
   * process of any function runs and everything is on disk. Further calls wait for the first.
   */
  stop(graceMs: number): Promise<StopReport>
}

/**
 * Builds the server out of its rooms and starts it: the one place that constructs things.
 *
 * @throws {ShownToFunctions} see {@link checkPlaces}.
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
  checkPlaces(config)
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  const compiledDir = join(dataDir, 'compiled')

  let queueClock: Clock | undefined
  let stopping: Promise<StopReport> | undefined
  let putBack = 0
  const guard = new StoreGuard(log, (error) => damageIn(error) !== undefined)
  const [packagesDir, stemsDir] = [join(dataDir, 'packages'), join(dataDir, 'stems')]
  const makeTickets = (): TicketFile => makeTicketFile(memoryBackedDir())
  // Side by side: each waits for threads or processes, and together they are most of a start.
  const opening = [
    SqliteStore.open({
      now: () => queueClock?.now() ?? Date.now(),
      file: join(dataDir, 'anvoke.db'),
      ...queueLimitsOf(config),
      traces: [packagesDir],
      onFailure: (error) => guard.failed(error),
    }).then((opened) => undo.adopt(opened, () => opened.close())),
    chooseSandbox(config.sandbox, {
      zygotes: { codeRoots: [packagesDir, stemsDir, compiledDir], makeTickets },
    }).then(async (found) => {
      undo.adopt(found.sandbox, (driver) => driver.close())
      return { chosen: found, network: await chooseNetwork(config.network, found.sandbox) }
    }),
    materialiseBootstraps(join(dataDir, 'runtimes')),
    RuntimeTable.discover(
      {
        ...discoverySettingsOf(config),
        onPassedOver: (passedOver) =>
          log.warn('an interpreter is not used: functions would see what they must not', { ...passedOver }),
      },
      (substitution) =>
        log.info('functions run on another version than their runtime names', { ...substitution }),
    ),
  ] as const
  // Not before all have ended is everything that was opened known to `undo`; of several failures the first is told.
  await Promise.allSettled(opening)
  const [store, { chosen, network }, bootstraps, runtimes] = await Promise.all(opening)
  // Only now that the store says that the directory is no other server's.
  const packages = undo.adopt(await PackageStore.open({ dir: packagesDir }), (opened) => opened.close())
  const catalogue = await Catalogue.open(withLayers(store.definitions, packages))
  const sandbox = undo.adopt(
    await PrestartedSandbox.open({
      driver: chosen.sandbox,
      dir: stemsDir,
      perClass: config.stemsPerClass,
      makeTickets,
    }),
    (opened) => opened.close(),
  )
  const memory = new MemoryWatch()
  const compiled = undo.adopt(
    await CompiledCode.open({
      dir: compiledDir,
      sandbox: chosen.sandbox,
      watchMemory: (process, limitBytes) => memory.watch(process, limitBytes),
      onFailure: (error) => log.debug('code was not compiled ahead', { error }),
    }),
    (opened) => opened.close(),
  )
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

  const launches = new Launches({
    contracts: CONTRACTS,
    runtimes,
    bootstraps,
    packages,
    keyring,
    sandbox,
    compiled,
    network: network.policy,
  })
  const limits = poolLimitsOf(config, catalogue)
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
    (version, instanceId) => launches.planOf(version, instanceId),
    tellInstances(log),
  )
  const kept = new Kept({
    catalogue,
    pool,
    contracts: CONTRACTS,
    limits,
    clock,
    observe: (event) => tellKept(log, event),
  })
  pool.keeper = kept
  store.deletedAmong = (functions) => deletedAmong(functions, catalogue)
  catalogue.onRetired = (stateIds) => pool.retire(stateIds)
  catalogue.onChanged = (changes) => {
    kept.follow(changes)
    if (changes.some(({ kind }) => kind === 'scaling')) pool.applyCaps()
    for (const { kind, value } of changes) {
      if (kind === 'asyncConfig' && value !== undefined && 'functionName' in value && 'qualifier' in value) {
        const { account, namespace, functionName: name, qualifier } = value
        const target = { account, namespace, name, qualifier }
        tellRefused(
          log,
          target,
          refusedDestinations(target, { ...means, addresses: config.webhookAddresses }),
        )
      }
      if (kind === 'function' && value !== undefined && 'spec' in value) {
        launches.expect(value.spec)
        pool.expect({ ...value, id: value.stateId, memoryMib: value.spec.memoryMib })
      }
    }
    for (const name of functionsThatEnded(changes, catalogue)) void logs.remove(name)
  }

  const admission = new Admission({
    maxCallsPerFunction: config.maxCallsPerFunction,
    maxCalls: config.maxCalls,
  })
  const engine = new Engine({ catalogue, admission, pool, contracts: CONTRACTS, logs, clock })
  const latestMs = await store.tasks.latestMs()
  tellQueueTime(log, latestMs, Date.now())
  queueClock = startClock(latestMs)
  /** In whose words endings are told, by the name of the dialect that configured the destination. */
  const words = new Map([
    [ALIBABA_FC, alibabaFcWords({ definitions: catalogue, region })],
    [HUAWEI_FUNCTIONGRAPH, huaweiFunctionGraphWords({ definitions: catalogue, region })],
    [TENCENT_SCF, tencentScfWords({ catalogue })],
  ])
  const delivery = new AsyncDelivery({
    tasks: store.tasks,
    clock: queueClock,
    tell: (ended) => planDelivery(ended, words),
    told: () => destinations.notify(),
    invoke: (request, caller) => engine.invoke(request, caller),
    terminate: (run, graceMs) => engine.terminate(run, graceMs),
    parallelRuns: config.maxAsyncRuns,
    parallelRunsPerFunction: config.maxAsyncRunsPerFunction,
    observe: (event) => {
      if (event.kind === 'postponed' && stopping !== undefined) putBack += 1
      tellDelivery(log, event)
    },
  })
  const links = new CodeLinks({
    key: derivedKey(credentials, 'code links'),
    packages,
    now: Date.now,
  })
  let ownPort: number | undefined
  const tasks = new TaskService({ queue: store.tasks, delivery, clock: queueClock })
  const webhookKey = derivedKey(credentials, 'webhooks')
  const means = {
    words,
    tasks,
    requireFunction: (target: InvokeTarget): void => void catalogue.resolve(target),
    webhooks: new WebhookClient({
      key: webhookKey,
      addresses: config.webhookAddresses,
      clock: queueClock,
    }),
  }
  const destinations = new DestinationWorker({
    outbox: store.outbox,
    attempt: (claimed, signal) => attemptDelivery(claimed, means, signal),
    clock: queueClock,
    observe: (event) => tellDestinations(log, event),
  })
  /** What every dialect may use. */
  const rooms = {
    catalogue,
    packages,
    keyring,
    engine,
    tasks,
    history: logs,
    keptOf: kept.keptOf.bind(kept),
    requireRuntime: (name: string): void => runtimes.require(name),
    region,
    now: Date.now,
    links,
    ownPort: (): number | undefined => ownPort,
    observe: (error: unknown): void => log.error('a request failed for a reason of our own', { error }),
  }
  const sandboxNote = noteOf(chosen)
  const checks = readinessOf(sandboxNote, network)
  const listener = new Listener({
    dialects: [
      createAlibabaFc(rooms),
      createHuaweiFunctionGraph({
        ...rooms,
        tokenKey: derivedKey(credentials, 'user tokens'),
        users: [{ accountId: config.accountId, accessKeyId: credentials.accessKeyId }],
      }),
      createTencentScf(rooms),
    ],
    budget,
    // Not before the operator is told: what waits for it may read the banner then.
    checks: () =>
      guard.isServing ? checks : [{ name: 'start', ok: false, detail: 'the server is starting' }],
    onFault: (error) => log.error('a dialect broke its promise', { error }),
    maxConnections: config.maxConnections,
  })

  await restoreLayers(catalogue.list('function', ''), packages, (functionKey, error) =>
    log.error('the layers of a function are not there; it cannot start', { function: functionKey, error }),
  )
  const address = await listener.listen(config.listen.host, config.listen.port)
  ownPort = address.port
  delivery.start()
  destinations.start()
  kept.begin()
  undo.adopt(
    await openControl({
      dataDir,
      account: config.accountId,
      tasks,
      outbox: store.outbox,
      destinations,
      catalogue,
      usualLimits: { maxRuns: config.maxAsyncRunsPerFunction, maxTasks: config.maxQueuedTasksPerFunction },
      webhookKey,
      log,
    }),
    (door) => door.close(),
  )
  launches.expectRecent(catalogue.list('function', '').map(({ value }) => value))
  undo.defer(compileAhead(bootstraps, runtimes.interpreters, [...CONTRACTS.keys()], log))
  const sweeper = new Sweeper({
    catalogue,
    pool,
    packages,
    compiled,
    launches,
    logs,
    onFailure: (error) => log.error('old code packages were not removed', { error }),
  })
  sweeper.start()
  guard.serves()
  const opened = undo.move()

  const stop = async (graceMs: number): Promise<StopReport> => {
    sweeper.stop()
    listener.beginDrain()
    engine.stopAdmitting()
    tellDrain(log, {
      calls: admission.inside,
      asyncRuns: delivery.underWay,
      tellings: destinations.underWay,
    })
    await Promise.all([
      delivery.drain(graceMs),
      destinations.drain(graceMs),
      pool.close(graceMs),
      listener.close(graceMs),
    ])
    memory.close()
    await opened.disposeAsync()
    return { asyncRunsPutBack: putBack }
  }
  return {
    address: { host: config.listen.host, port: address.port },
    sandbox: sandboxNote,
    network,
    stop: (graceMs) => (stopping ??= stop(graceMs)),
  }
}

/** A key for one purpose, which tells nothing about those for others. */
function derivedKey({ signingKey }: Credentials, purpose: string): KeyObject {
  return createSecretKey(createHmac('sha256', signingKey).update(purpose).digest())
}
