import { buffer } from 'node:stream/consumers'
import { changeFunction } from '../../definitions/functions.ts'
import { withExtras } from '../extras.ts'
import type { FunctionRecord } from '../../store/definition-store.ts'
import { codeFactsOf, withCodeFacts } from './code-facts.ts'
import { codeElsewhere, takeCode, urlOf } from './code-intake.ts'
import { layOut, readDependencies, withDependencyIds } from './dependency-records.ts'
import { codeMembers } from './function-body.ts'
import { ownOf } from './function-edit.ts'
import { DIALECT, type Answer, type Call, type Operation, type Rooms } from './operation.ts'
import { requireAt, requireMutable, urnOf } from './target.ts'

/** Longest package that is shown in an answer, bytes; a longer one is downloaded by its link. */
const SHOWN_PACKAGE_BYTES = 1024 * 1024

/** GET F/U/code: `func_code.file` is what was uploaded, `func_code.link` downloads the package for ten minutes. */
export const showFunctionCode: Operation = (call, rooms) =>
  codeAnswer(call, rooms, requireAt(rooms.catalogue, call.accountId, urnOf(call)).value)

/**
 * PUT F/U/code: the code, the dependencies, or both; what is absent stays.
 *
 * @throws {FssError} `FSS.1015`: a version or an alias; what `takeCode` throws
 */
export const updateFunctionCode: Operation = async (call, rooms) => {
  const urn = urnOf(call)
  const seen = requireMutable(rooms.catalogue, call.accountId, urn).value
  await layOut(rooms, readDependencies(rooms.catalogue, call.accountId, call.body))
  const isElsewhere = !['', codeFactsOf(seen.spec.code, ownOf(seen)).url].includes(urlOf(call.body))
  const taken =
    (await takeCode(call, rooms.packages, seen.spec)) ??
    (isElsewhere ? await codeElsewhere(call, rooms.packages, seen.spec) : undefined)
  const record = await rooms.catalogue.change((draft) => {
    const before = requireMutable(draft, call.accountId, urn)
    const { layers: layersBefore, ...specBefore } = before.value.spec
    const dependencies = readDependencies(draft, call.accountId, call.body)
    const layers = dependencies?.layers ?? layersBefore ?? []
    const code = taken?.package ?? specBefore.code
    const own = ownOf(before.value)
    const facts = taken?.facts ?? renamed(call, codeFactsOf(code, own))
    const ownCode = withCodeFacts({ ...own, ...keyOf(call) }, code, facts)
    return changeFunction(
      draft,
      before,
      {
        spec: { ...specBefore, code, ...(layers.length > 0 && { layers }) },
        extras: withExtras(
          before.value.extras,
          DIALECT,
          dependencies === undefined ? ownCode : withDependencyIds(ownCode, dependencies.ids),
        ),
      },
      rooms.now(),
    )
  })
  return codeAnswer(call, rooms, record.value)
}

/** Code that stays, by the name of a request that brings none. */
function renamed(call: Call, facts: ReturnType<typeof codeFactsOf>): ReturnType<typeof codeFactsOf> {
  const { code_filename: fileName } = call.body
  return {
    ...facts,
    ...(typeof fileName === 'string' && fileName !== '' && { fileName }),
  }
}

function keyOf({ body }: Call): { code_encrypt_kms_key_id?: string } {
  const id = body['code_encrypt_kms_key_id']
  return typeof id === 'string' && id.length <= 256 ? { code_encrypt_kms_key_id: id } : {}
}

async function codeAnswer(call: Call, rooms: Rooms, record: FunctionRecord): Promise<Answer> {
  const { code } = record.spec
  const { source } = codeFactsOf(code, ownOf(record))
  return {
    status: 200,
    body: {
      ...codeMembers(rooms.catalogue, call, record),
      func_code: {
        file: source ?? (await archiveText(rooms, code)),
        link: rooms.links.link(call.origin, code.digest),
      },
    },
  }
}

async function archiveText(
  rooms: Rooms,
  { digest, sizeBytes }: FunctionRecord['spec']['code'],
): Promise<string> {
  if (sizeBytes > SHOWN_PACKAGE_BYTES) return ''
  const archive = await rooms.packages.openArchive(digest)
  return (await buffer(archive.stream)).toString('base64')
}
