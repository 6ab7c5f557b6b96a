import { readFile } from 'node:fs/promises'
import * as z from 'zod/mini'
import type { CodePackage } from '../../model/function.ts'
import { parsedJson } from '../../model/json.ts'

const FORMAT = 1
const META = z.object({
  format: z.literal(FORMAT),
  digest: z.string(),
  crc64: z.string(),
  sizeBytes: z.number(),
  expandedBytes: z.number(),
})

/** The text of a package's `meta.json`. */
export function encodePackageMeta(codePackage: CodePackage): string {
  return `${JSON.stringify({ format: FORMAT, ...codePackage })}\n`
}

/**
 * Reads a package's `meta.json`. Undefined when it is missing or is not this format's record of `digest`: the folder
 * then is not a package, whatever else is in it.
 */
export async function readPackageMeta(path: string, digest: string): Promise<CodePackage | undefined> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR'))
      return
    throw error
  })
  if (text === undefined) return undefined
  const parsed = META.safeParse(parsedJson(text))
  if (!parsed.success || parsed.data.digest !== digest) return undefined
  const { format: _format, ...codePackage } = parsed.data
  return codePackage
}
