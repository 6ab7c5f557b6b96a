import * as z from 'zod/mini'
import { parseListenAddress, type ListenAddress } from './listen-address.ts'

/**
 * Kinds of settings. Each reads the text of a flag, an environment variable or a scalar of the file, so that a setting
 * means the same wherever it is written.
 */
export type Field<Value> = z.ZodMiniType<Value, string>

const allowed = z.registry<{ readonly values: string }>()

/** What a field allows, in words, such as `1 to 300` or `auto, text, json`; undefined when that goes without saying. */
export function allowedValues(field: z.core.$ZodType): string | undefined {
  return allowed.get(field)?.values
}

function documented<Value extends z.core.$ZodType>(field: Value, values: string): Value {
  allowed.add(field, { values })
  return field
}

/** A whole number, written in decimal digits. */
export function wholeNumber(min: number, max: number): Field<number> {
  const expected = `is not a whole number from ${min} to ${max}`
  const field = z.pipe(
    z.pipe(z.string().check(z.regex(/^\d{1,15}$/, expected)), z.transform(Number)),
    z.number().check(z.minimum(min, expected), z.maximum(max, expected)),
  )
  return documented(field, `${min} to ${max}`)
}

export function oneOf<const Choice extends string>(
  choices: readonly Choice[],
): z.ZodMiniType<Choice, Choice> {
  const values = choices.join(', ')
  return documented(z.enum(choices, `is none of ${values}`), values)
}

/** Text that matches a pattern; `expected` says in words what other text is not, beginning with `is not`. */
export function text(pattern: RegExp, expected: `is not ${string}`): Field<string> {
  return documented(z.string().check(z.regex(pattern, expected)), expected.slice('is not '.length))
}

/** A path; {@link import('./load.ts').loadConfig} makes it absolute. */
export function path(): Field<string> {
  return z.string().check(z.regex(/^[^\0]{1,4096}$/, 'is not a path'))
}

/** HOST:PORT; `[…]` around an IPv6 address. Port 0 lets the system choose. */
export function listenAddress(): Field<ListenAddress> {
  return z.pipe(
    z.string(),
    z.transform((value, context) => {
      const address = parseListenAddress(value)
      if (address !== undefined) return address
      context.issues.push({
        code: 'custom',
        message: 'is not HOST:PORT with a port of 0 … 65535',
        input: value,
      })
      return z.NEVER
    }),
  )
}
