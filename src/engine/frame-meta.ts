import type { Frame } from './channel.ts'

/** What a frame says beside its payload. It comes from inside the sandbox: nothing in it is believed unseen. */
export type Meta = Readonly<Record<string, unknown>>

/** Anything unreadable counts as empty. */
export function metaOf(frame: Frame): Meta {
  if (frame.meta.length === 0) return {}
  try {
    const value: unknown = JSON.parse(frame.meta.toString('utf8'))
    return isMeta(value) ? value : {}
  } catch {
    return {}
  }
}

function isMeta(value: unknown): value is Meta {
  return typeof value === 'object' && value !== null
}

/** @param seenMs What the server's own clock saw, which no told duration can pass. */
export function durationOf(meta: Meta, seenMs: number): number {
  const told = meta['durationMs']
  return typeof told === 'number' && told >= 0 && told <= seenMs ? told : seenMs
}

/** Bytes, 0 when nothing believable was told. */
export function peakBytesOf(meta: Meta): number {
  const told = meta['peakKib']
  return typeof told === 'number' && told > 0 && told < 2 ** 40 ? told * 1024 : 0
}

export function errorTypeOf(meta: Meta): string {
  return typeof meta['errorType'] === 'string' ? meta['errorType'] : 'Error'
}
