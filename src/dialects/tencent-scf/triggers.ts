import { ScfError } from './errors.ts'
import { invalidValue, objectListField, textField, textListField } from './fields.ts'
import type { JsonObject, Operation } from './operation.ts'
import { inOrder, onPage, orderOf, pageOf } from './paging.ts'
import { qualifierOf, requireLatest, shownQualifier, targetOf } from './targets.ts'
import type { TriggerRecord } from '../../store/definition-store.ts'
import {
  ownTriggerExtras,
  putTrigger,
  readEnabled,
  readTrigger,
  requireTrigger,
  triggerBody,
  triggerKeyOf,
  triggerOf,
  triggersOf,
} from './trigger-records.ts'

/** Stores a trigger. It is shown again, and calls nothing by itself yet. */
export const createTrigger: Operation = async (call, { catalogue, now }) => {
  const target = targetOf(call)
  const reference = triggerOf(call.params)
  const given = readTrigger(call.params, reference)
  const made = await catalogue.change((draft) => {
    requireLatest(draft, target)
    if (draft.get('trigger', triggerKeyOf(target, reference)) !== undefined)
      throw new ScfError(
        'ResourceInUse.Trigger',
        `function '${target.name}' already has a ${reference.type} trigger '${reference.name}'`,
      )
    return putTrigger(draft, target, reference, given, now())
  })
  return { TriggerInfo: triggerBody(made.value) }
}

/** Changes what the request names; empty `Description` and `CustomArgument` clear. */
export const updateTrigger: Operation = async (call, { catalogue, now }) => {
  const target = targetOf(call)
  const reference = triggerOf(call.params)
  const given = readTrigger(call.params, reference)
  await catalogue.change((draft) => {
    requireTrigger(draft, target, reference, undefined)
    putTrigger(draft, target, reference, given, now())
  })
  return {}
}

/** Switches a trigger on (`OPEN`) or off (`CLOSE`). */
export const updateTriggerStatus: Operation = async (call, { catalogue, now }) => {
  const target = targetOf(call)
  const reference = triggerOf(call.params)
  const qualifier = qualifierOf(call.params)
  const enabled = readEnabled(call.params, { required: true })
  await catalogue.change((draft) => {
    requireTrigger(draft, target, reference, qualifier)
    putTrigger(draft, target, reference, enabled === undefined ? {} : { enabled }, now())
  })
  return {}
}

/** Found by name, type and, where it is named, qualifier; what `TriggerDesc` says makes no difference. */
export const deleteTrigger: Operation = async (call, { catalogue }) => {
  const target = targetOf(call)
  const reference = triggerOf(call.params)
  const qualifier = qualifierOf(call.params)
  await catalogue.change((draft) => {
    draft.delete('trigger', requireTrigger(draft, target, reference, qualifier).key)
  })
  return {}
}

/** The triggers of a function, those changed last first. */
export const listTriggers: Operation = (call, { catalogue }) => {
  const target = targetOf(call)
  const page = pageOf(call.params)
  const { key, descending } = orderOf(
    call.params,
    'OrderBy',
    { add_time: 'createdAtMs', mod_time: 'modifiedAtMs' } as const,
    { key: 'modifiedAtMs', descending: true },
  )
  const fits = readFilters(call.params)
  requireLatest(catalogue, target)
  const triggers = inOrder(triggersOf(catalogue, target).filter(fits), (one) => one[key], descending)
  return {
    Triggers: onPage(triggers, page).map((trigger) => ({ ...triggerBody(trigger), BoundResources: '' })),
    TotalCount: triggers.length,
  }
}

/** Entries of `Filters` must all fit, one value of each. */
function readFilters(params: JsonObject): (trigger: TriggerRecord) => boolean {
  const code = 'InvalidParameterValue.Filters'
  const filters = (objectListField(params, 'Filters', { max: 10, code }) ?? []).map((entry) => {
    const name = textField(entry, 'Name', { required: true, code })
    const values = textListField(entry, 'Values', { required: true, max: 20, code }) ?? []
    switch (name) {
      case 'Qualifier':
        return (trigger: TriggerRecord) => values.includes(shownQualifier(trigger.qualifier))
      case 'TriggerName':
        return (trigger: TriggerRecord) => values.includes(trigger.name)
      case 'Description':
        return (trigger: TriggerRecord) =>
          values.some((text) => ownTriggerExtras(trigger).description.includes(text))
      default:
        throw invalidValue('Filters', 'Qualifier, TriggerName or Description', name, code)
    }
  })
  return (trigger) => filters.every((fits) => fits(trigger))
}
