import * as z from 'zod/mini'
import { parseListenAddress, type ListenAddress } from './listen-address.ts'

/**
 * Kinds of settings. Each reads the text of a flag, an environment variable or a scalar of the file, so that a setting
 * means the same wherever it is written.
 */
export type Field<Value> = z.ZodMiniType<Value, string>

/** A whole number, written in decimal digits. */
export function wholeNumber(min: number, max: number): Field<number> {
  const expected = `is not a whole number from ${min} to ${max}`
  return z.pipe(
    z.pipe(z.string().check(z.regex(/^\d{1,15}$/, expected)), z.transform(Number)),
    z.number().check(z.minimum(min, expected), z.maximum(max, expected)),
  )
}

export function oneOf<const Choice extends string>(
  choices: readonly Choice[],
): z.ZodMiniType<Choice, Choice> {
  return z.enum(choices, `is none of ${choices.join(', ')}`)
}

/** Text that matches a pattern; `expected` says in words what that is, beginning with a verb. */
export function text(pattern: RegExp, expected: string): Field<string> {
  return z.string().check(z.regex(pattern, expected))
}

/** A path; {@link import('./load.ts').loadConfig} makes it absolute. */
export function path(): Field<string> {
  return text(/^[^\0]{1,4096}$/, 'is not a path')
}

/** HOST:PORT; `[…]` around an IPv6 address. Port 0 lets the system choose. */
export function listenAddress(): Field<ListenAddress> {
  return z.pipe(
    z.string(),
    z.transform((value, context) => {
      const address = parseListenAddress(value)
      if (address !== undefined) return address
      context.issues.push({ code: 'custom', message: 'is not HOST:PORT', input: value })
      return z.NEVER
    }),
  )
}
