/**
 * Makes `process.env` exactly `variables`.
 *
 * The object itself stays: assigning to it is what makes Node take over a new `TZ`.
 */
export function replaceEnvironment(variables: Readonly<Record<string, string>>): void {
  for (const name of Object.keys(process.env)) {
    if (!Object.hasOwn(variables, name)) delete process.env[name]
  }
  for (const [name, value] of Object.entries(variables)) process.env[name] = value
}
