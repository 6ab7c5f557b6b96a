import type { DeliveryEvent } from '../async/delivery-event.ts'
import type { RefusedDestination } from '../async/destinations/configured.ts'
import type { DestinationEvent } from '../async/destinations/destination-event.ts'
import type { KeptEvent } from '../engine/kept.ts'
import type { FunctionState, PoolObserver } from '../engine/pool-setup.ts'
import type { InvokeTarget } from '../model/invocation.ts'
import type { OperatorLog } from '../observe/operator-log.ts'

/** What the operator is told of instances. */
export function tellInstances(log: OperatorLog): PoolObserver {
  return {
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
    memoryUnavailable: (state, memoryBudgetMib) => tellMemory(log, state, memoryBudgetMib),
  }
}

/** The operator is told of a function that can have no instance here. */
function tellMemory(
  log: OperatorLog,
  { account, namespace, name, version, memoryMib }: FunctionState,
  memoryBudgetMib: number,
): void {
  log.warn('calls are refused: one instance wants more memory than all together may have (memoryBudgetMib)', {
    account,
    function: `${namespace}/${name}`,
    version,
    memoryMib,
    memoryBudgetMib,
  })
}

/** What the operator is told of instances that are kept ready. */
export function tellKept(log: OperatorLog, event: KeptEvent): void {
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

/** What the operator is told of asynchronous calls. */
export function tellDelivery(log: OperatorLog, event: DeliveryEvent): void {
  switch (event.kind) {
    case 'engineFaulted':
    case 'tellingFailed':
    case 'queueFailed':
      log.error(`asynchronous delivery: ${event.kind}`, { error: event.error })
      return
    case 'leaseLost':
      log.warn(
        'the lease of a run of an asynchronous call ended: the call runs again, this run does not count',
        {
          request: event.task.requestId,
        },
      )
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

/** The operator is told of destinations that were configured and that would be refused now. */
export function tellRefused(
  log: OperatorLog,
  { account, namespace, name, qualifier }: InvokeTarget,
  refused: readonly RefusedDestination[],
): void {
  if (refused.length === 0) return
  log.warn('destinations cannot be told as things are', {
    account,
    function: `${namespace}/${name}`,
    ...(qualifier === undefined ? {} : { qualifier }),
    ...Object.fromEntries(
      refused.map(({ on, destination, reason }) => [
        `on${on === 'success' ? 'Success' : 'Failure'}`,
        `${destination}: ${reason}`,
      ]),
    ),
    ...fixOf(refused.map(({ reason }) => reason)),
  })
}

/** What the operator can do about deliveries that are refused for these reasons; no member where it is up to others. */
function fixOf(reasons: readonly string[]): { readonly fix?: string } {
  if (!reasons.includes('webhook-address-refused')) return {}
  return { fix: 'webhooks at addresses that are not public: start the server with --webhook-addresses any' }
}

/** The operator is told what a server that stops waits for, if anything. */
export function tellDrain(
  log: OperatorLog,
  underWay: { readonly calls: number; readonly asyncRuns: number; readonly tellings: number },
): void {
  if (Object.values(underWay).some((count) => count > 0))
    log.info('stopping waits for what is under way, for the time it is given', underWay)
}

/** What the operator is told of the deliveries to destinations. */
export function tellDestinations(log: OperatorLog, event: DestinationEvent): void {
  switch (event.kind) {
    case 'attemptFaulted':
    case 'outboxFailed':
      log.error(`destinations: ${event.kind}`, { error: event.error })
      return
    case 'undeliverable':
      log.warn('the ending of an asynchronous call could not be told', {
        request: event.delivery.requestId,
        function: `${event.delivery.namespace}/${event.delivery.functionName}`,
        delivery: event.delivery.deliveryId,
        reason: event.reason,
        ...fixOf([event.reason]),
      })
      return
    case 'outboxOverflowed':
      log.warn('endings of asynchronous calls are not told: too many wait to be told, or are kept untold', {
        refused: event.losses.refused,
        forgotten: event.losses.forgotten,
      })
      return
    case 'leaseLost':
      log.warn('the lease of a try to tell an ending ended: it is made again, this try does not count', {
        delivery: event.delivery.deliveryId,
      })
      return
    case 'delivered':
    case 'postponed':
      return
  }
}
