import type { CodePackage } from '../../model/function.ts'
import { isJsonObject } from '../../model/json.ts'
import type { Extras } from '../../store/definition-store.ts'

/** Kinds of code the API knows. Source: the vendor's CreateFunction page. */
export const CODE_TYPES = ['inline', 'zip', 'obs', 'jar', 'Custom-Image-Swr'] as const
export type CodeType = (typeof CODE_TYPES)[number]

/** What this API shows of a function's code and the package does not tell. */
export interface CodeFacts {
  readonly type: CodeType
  readonly fileName: string
  /** Where the uploader said the code was; nothing is fetched from there. */
  readonly url: string
  /** SHA-512 of what was uploaded, lower-case hex. */
  readonly digest: string
  /** Bytes of what was uploaded. */
  readonly sizeBytes: number
  /** Plain source as it was uploaded, base64. */
  readonly source?: string
}

/** Their member of a function's extras. */
const MEMBER = 'code'

/**
 * The facts of a function's code. Code that another API gave the function has none of its own: it is shown as a zip, by the
 * digest that is known of it, its SHA-256.
 */
export function codeFactsOf(code: CodePackage, own: Extras): CodeFacts {
  const kept = own[MEMBER]
  if (isJsonObject(kept) && kept['of'] === code.digest) {
    const { type, fileName, url, digest, sizeBytes, source } = kept
    return {
      type: CODE_TYPES.find((each) => each === type) ?? 'zip',
      fileName: String(fileName),
      url: String(url),
      digest: String(digest),
      sizeBytes: Number(sizeBytes),
      ...(typeof source === 'string' && { source }),
    }
  }
  return { type: 'zip', fileName: 'index.zip', url: '', digest: code.digest, sizeBytes: code.sizeBytes }
}

/** A function's own extras with the facts of its code, which hold as long as it has that code. */
export function withCodeFacts(own: Extras, code: CodePackage, facts: CodeFacts): Extras {
  return { ...own, [MEMBER]: { of: code.digest, ...facts } }
}
