import Module from 'node:module'

/**
 * Makes `process.env` exactly `variables`, and looks for modules where its `NODE_PATH` says, as if the process had been
 * started with it.
 *
 * The object itself stays: assigning to it is what makes Node take over a new `TZ`.
 */
export function replaceEnvironment(variables: Readonly<Record<string, string>>): void {
  for (const name of Object.keys(process.env)) {
    if (!Object.hasOwn(variables, name)) delete process.env[name]
  }
  for (const [name, value] of Object.entries(variables)) process.env[name] = value
  if (variables['NODE_PATH'] === undefined) return
  // Node reads the variable once, before any code runs, with a function that it shows but does not document.
  const readNodePath: unknown = Reflect.get(Module, '_initPaths')
  if (typeof readNodePath === 'function') Reflect.apply(readNodePath, Module, [])
}
