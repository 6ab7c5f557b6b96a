import { addFunction } from '../../definitions/functions.ts'
import { ensureNamespace } from '../../definitions/namespaces.ts'
import { removeFunction } from '../../definitions/remove.ts'
import { putTags } from '../../definitions/tags.ts'
import type { Definitions } from '../../engine/catalogue.ts'
import { functionKey } from '../../engine/keys.ts'
import type { FunctionName, FunctionSpec } from '../../model/function.ts'
import { withExtras } from '../extras.ts'
import { bindLayers, readLayers, requireLayersFit } from './bound-layers.ts'
import { carriesZip, codeSourceOf, takeCode } from './code.ts'
import { ScfError, type ScfCode } from './errors.ts'
import { flagField, textField } from './fields.ts'
import { readDescription, readRole } from './function-texts.ts'
import { appIdOf, uinOf } from './identity.ts'
import { DIALECT, type JsonObject, type Operation } from './operation.ts'
import { withQuotaCode } from './quota-codes.ts'
import { readRun } from './run-settings.ts'
import { readShown } from './shown-settings.ts'
import { readTags } from './tags.ts'
import { newTargetOf, qualifierOf, requireAt, requireLatest, requireNamespace, targetOf } from './targets.ts'
import { removeVersion } from './versions.ts'

/** The function is ready when the answer is sent: no client has to wait for a status. */
export const createFunction: Operation = async (call, rooms) => {
  const { catalogue, packages } = rooms
  const target = newTargetOf(call)
  refuseOtherTypes(call.params)
  const isAsyncRun = flagField(call.params, 'AsyncRunEnable') ?? false
  const run = readRun(call.params, undefined, isAsyncRun)
  const shown = readShown(call.params, undefined)
  const description = readDescription(call.params) ?? ''
  const role = readRole(call.params) ?? ''
  const references = readLayers(call.params) ?? []
  const tags = readTags(call.params) ?? {}
  const source = codeSourceOf(call.params)
  if (source === call.params || !carriesZip(call, source))
    throw new ScfError(
      'MissingParameter.Code',
      `the request is missing the parameter ${call.api === '2.0' ? 'code' : 'Code.ZipFile'}`,
    )
  requireNamespace(catalogue, target.account, target.namespace)
  requireFree(catalogue, target)
  const { packages: layersAhead } = bindLayers(catalogue, target.account, references)
  rooms.requireRuntime(run.runtime)
  const code = await takeCode(call, source, packages)
  requireLayersFit(code, layersAhead)
  await packages.ensureLayers(layersAhead.map(({ digest }) => digest))
  const nowMs = rooms.now()
  await catalogue.change((draft) => {
    const { account, namespace } = target
    requireNamespace(draft, account, namespace)
    withQuotaCode('LimitExceeded.Namespace', () => ensureNamespace(draft, account, namespace, nowMs))
    requireFree(draft, target)
    const layers = bindLayers(draft, account, references)
    const spec: FunctionSpec = {
      ...run,
      contract: DIALECT,
      code,
      ...(layers.packages.length === 0 ? {} : { layers: layers.packages }),
    }
    const facts = { appId: appIdOf(account), uin: uinOf(account), ...(role === '' ? {} : { role }) }
    const extras = withExtras({}, DIALECT, { settings: shown, layers: layers.bound })
    const made = { ...target, description, spec, facts, extras }
    withQuotaCode('LimitExceeded.Function', () => addFunction(draft, made, nowMs))
    putTags(draft, account, `${namespace}/${target.name}`, tags, nowMs)
  })
  return {}
}

/** Removes the function with all its versions, or the one version that `Qualifier` names. @throws {ScfError} */
export const deleteFunction: Operation = async (call, { catalogue }) => {
  const target = targetOf(call)
  const qualifier = qualifierOf(call.params)
  await catalogue.change((draft) => {
    const head = requireLatest(draft, target)
    if (qualifier === undefined) removeFunction(draft, head.value)
    else removeVersion(draft, target, qualifier)
  })
  return {}
}

/** A link by which the package is downloaded without a signature, and its digest. @throws {ScfError} */
export const getFunctionAddress: Operation = (call, { catalogue, links }) => {
  const { digest } = requireAt(catalogue, targetOf(call), qualifierOf(call.params)).value.spec.code
  return { Url: links.link(call.origin, digest), CodeSha256: digest }
}

/** Functions that serve HTTP themselves are not run by this server. */
function refuseOtherTypes(params: JsonObject): void {
  const type = textField(params, 'Type', { max: 64, code: 'InvalidParameterValue.Type' }) ?? ''
  if (type === '' || type === 'Event') return
  const code: ScfCode = type === 'HTTP' ? 'UnsupportedOperation' : 'InvalidParameterValue.Type'
  throw new ScfError(code, `functions of type '${type}' are not supported by this server; use Event`)
}

function requireFree(definitions: Definitions, { account, namespace, name }: FunctionName): void {
  if (definitions.get('function', functionKey(account, namespace, name)) !== undefined)
    throw new ScfError(
      'ResourceInUse.Function',
      `function '${name}' already exists in namespace '${namespace}'`,
    )
}
