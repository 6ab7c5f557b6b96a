/**
 * Reads the part of an Authorization header behind its scheme: `Name=value`, with commas between.
 *
 * @param names The fields there must be, each once and no other.
 * @returns Their values in the order of `names`; undefined when the text is another
 */
export function parseAuthorizationFields(text: string, names: readonly string[]): string[] | undefined {
  const values: string[] = []
  let found = 0
  for (let start = 0; start <= text.length;) {
    const comma = text.indexOf(',', start)
    const end = comma === -1 ? text.length : comma
    const equals = text.indexOf('=', start)
    if (equals === -1 || equals > end) return undefined
    const index = names.indexOf(text.slice(start, equals).trim())
    if (index === -1 || values[index] !== undefined) return undefined
    values[index] = text.slice(equals + 1, end).trim()
    found += 1
    start = end + 1
  }
  return found === names.length ? values : undefined
}
