/** What the bytes of an event mean where it is JSON: text that is none stays text, nothing at all is an empty object. */
export function jsonEventOf(bytes: Buffer): unknown {
  if (bytes.length === 0) return {}
  const text = bytes.toString()
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
