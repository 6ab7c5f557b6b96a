/** A JSON object as it came; which members it has, and of what types, is not known. */
export type JsonObject = Readonly<Record<string, unknown>>

/** Whether a decoded value is an object: no list, no `null`. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The value that a text is in JSON, or undefined for text that is none: the parser's message would quote it. */
export function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
