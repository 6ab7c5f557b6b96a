import { isMap, isScalar, isSeq, parseDocument, stringify, type Document } from 'yaml'
import { isJsonObject } from '../../model/json.ts'
import { FssError } from './errors.ts'
import type { JsonObject } from './operation.ts'

/** Longest description in an archive, bytes: the longest texts a function may have, escaped. Reading it holds up every other call. */
export const MAX_DESCRIPTION_BYTES = 64 * 1024

/** Levels of a description: its functions, one of them, a setting, a member of a setting, and one to spare. */
const MAX_LEVELS = 5

/**
 * The settings of the one function that an exported archive's YAML describes.
 *
 * The nodes are read here and not turned into objects by the library: it makes a text of every key that is a structure, which takes
 * minutes where keys are nested, and prints what it does not understand.
 *
 * @param text At most {@link MAX_DESCRIPTION_BYTES} long.
 * @throws {FssError} `FSS.1025`: no YAML, or more in it than settings; `FSS.1057`: no function
 */
export function readDescription(text: string): JsonObject {
  const { contents, errors } = documentOf(text)
  if (errors.length > 0) throw invalid('the YAML file is not valid')
  const description = valueOf(contents, MAX_LEVELS)
  const functions = isJsonObject(description) ? description['functions'] : undefined
  const [first, ...others] = isJsonObject(functions) ? Object.values(functions) : []
  if (!isJsonObject(first)) throw new FssError('FSS.1057', 'the YAML file describes no function')
  if (others.length > 0) throw invalid('the YAML file describes more than one function')
  return first
}

/** The YAML that {@link readDescription} reads the settings of this function from. */
export function writeDescription(functionName: string, settings: JsonObject): string {
  return stringify({ functions: { [functionName]: settings } })
}

/** Keys are compared here: the library compares each with every other. */
function documentOf(text: string): Document.Parsed {
  try {
    return parseDocument(text, { uniqueKeys: false, prettyErrors: false, logLevel: 'silent' })
  } catch {
    throw invalid('the YAML file is not valid')
  }
}

/** What a node stands for; links between nodes stand for nothing. */
function valueOf(node: unknown, levels: number): unknown {
  if (node === null || node === undefined) return undefined
  if (isScalar(node)) return node.value
  if (levels === 0) throw invalid('the YAML file is too deep')
  if (isSeq(node)) return node.items.map((item) => valueOf(item, levels - 1))
  if (!isMap(node)) throw invalid('the YAML file has an alias')
  const members = new Map<string, unknown>()
  for (const { key, value } of node.items) {
    const name = isScalar(key) ? String(key.value) : undefined
    if (name === undefined || members.has(name))
      throw invalid('the YAML file has a key that is no text, or one twice')
    members.set(name, valueOf(value, levels - 1))
  }
  return Object.fromEntries(members)
}

function invalid(message: string): FssError {
  return new FssError('FSS.1025', message)
}
