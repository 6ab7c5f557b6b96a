import { withExtras } from '../extras.ts'
import { changeFunction } from '../../definitions/functions.ts'
import { ownOf, withCap } from './function-edit.ts'
import { functionBody } from './function-body.ts'
import { MAX_INSTANCES, readSettings } from './function-settings.ts'
import { integerField, required } from './fields.ts'
import { DIALECT, type Operation } from './operation.ts'
import { requireAt, requireMutable, urnOf } from './target.ts'

/** GET F/U/config */
export const showFunctionConfig: Operation = (call, { catalogue }) => {
  const { value } = requireAt(catalogue, call.accountId, urnOf(call))
  return { status: 200, body: functionBody(catalogue, call, value) }
}

/** PUT F/U/config: members that are absent or null stay as they are. @throws {FssError} `FSS.1015`: a version or an alias */
export const updateFunctionConfig: Operation = async (call, rooms) => {
  const urn = urnOf(call)
  const seen = requireMutable(rooms.catalogue, call.accountId, urn).value
  const { runtime } = readSettings(call.body, seen, call.projectId).run
  if (runtime !== seen.spec.runtime) rooms.requireRuntime(runtime)
  const record = await rooms.catalogue.change((draft) => {
    const before = requireMutable(draft, call.accountId, urn)
    const settings = readSettings(call.body, before.value, call.projectId)
    const { contract, code, layers } = before.value.spec
    const own = withCap(draft, before.value, settings.shown, settings.maxInstances, rooms.now())
    return changeFunction(
      draft,
      before,
      {
        spec: { ...settings.run, contract, code, ...(layers !== undefined && { layers }) },
        facts: settings.facts,
        description: settings.description,
        extras: withExtras(before.value.extras, DIALECT, own),
      },
      rooms.now(),
    )
  })
  return { status: 200, body: functionBody(rooms.catalogue, call, record.value) }
}

/** PUT F/U/config-max-instance: −1 … 1000; 0 disables the function. Versions have caps of their own. */
export const updateFunctionMaxInstanceConfig: Operation = async (call, rooms) => {
  const urn = urnOf(call)
  const code = 'FSS.0400'
  const maxInstances = required(
    integerField(call.body, 'max_instance_num', { min: -1, max: MAX_INSTANCES, code }),
    'max_instance_num',
    code,
  )
  const record = await rooms.catalogue.change((draft) => {
    const before = requireAt(draft, call.accountId, urn)
    const own = withCap(draft, before.value, ownOf(before.value), maxInstances, rooms.now())
    return changeFunction(
      draft,
      before,
      { extras: withExtras(before.value.extras, DIALECT, own) },
      rooms.now(),
    )
  })
  return { status: 200, body: functionBody(rooms.catalogue, call, record.value) }
}
