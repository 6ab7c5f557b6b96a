import { posix } from 'node:path'

/** An ES module in JavaScript: its path relative to the others, and what it says. */
export interface ModuleSource {
  readonly path: string
  readonly text: string
}

/** What may stand at the beginning of a line; anything else that begins like it is refused. */
const IMPORT =
  /^import\s+(?:([\w$]+)\s*,?\s*)?(?:\{([^}]*)\}\s*)?from\s*(['"])([^'"\n]+)\3;?|^export\s*\{\s*\};?/gm
const EXPORT = /^export\s+((?:async\s+)?function|class|const)\s+([\w$]+)/gm
/** An import on demand of a module of the same program, and any other. */
const IMPORT_ON_DEMAND = /\bimport\(\s*(['"])(\.{1,2}\/[^'"\n]+)\1\s*\)/g
const OTHER_IMPORT = /\bimport\(/g
const NOT_UNDERSTOOD = /^(?:import(?!\s*\()|export)\b.*|\bimport\.meta\b/m

const OPENING = `(function ($import, require) {
'use strict'
const $once = (make) => {
  let made
  return () => (made ??= make())
}
`

/**
 * Joins the modules of a program into one script, which Node.js starts in several milliseconds less: one file to find and read, and no
 * need of what loads ES modules.
 *
 * Each module becomes a function of its own; those that the entry needs run at once, what is imported on demand when that happens.
 * Modules that nothing imports are left out. It reads the plain forms alone: `import name, { names } from '…'`, `export` before a
 * function, class or constant, `import('./…')` with a literal.
 *
 * @param entry Path of the module to run.
 * @returns An expression: the function that runs the program. It takes what `import(…)` of anything else is to do, and a `require` for
 *   the modules of Node.js.
 * @throws When a module uses another form, is missing, or needs itself.
 */
export function joinModules(modules: readonly ModuleSource[], entry: string): string {
  const texts = new Map(modules.map(({ path, text }) => [path, text]))
  const parsed = new Map<string, ParsedModule>()
  const parse = (path: string, from: string): ParsedModule => {
    const text = texts.get(path)
    if (text === undefined) throw new Error(`${from} imports ${path}, which is missing`)
    const known = parsed.get(path) ?? parseModule(path, text)
    parsed.set(path, known)
    return known
  }
  // A module is in a set behind everything that it needs.
  const atOnce = new Set<string>()
  addInOrder(entry, [], atOnce, parse)
  const all = new Set(atOnce)
  for (const path of all)
    for (const wanted of parse(path, entry).onDemand) addInOrder(wanted, [path], all, parse)
  const isAtOnce = (path: string): boolean => atOnce.has(path)
  // What waits comes first: it may be demanded as soon as anything runs.
  const ordered = [...[...all].filter((path) => !isAtOnce(path)), ...atOnce]
  return [OPENING, ...ordered.map((path) => scriptOf(parse(path, entry), isAtOnce)), '})'].join('')
}

interface ParsedModule {
  readonly path: string
  /** Modules that must have run before it. */
  readonly needs: readonly string[]
  readonly onDemand: readonly string[]
  /** Its text as the body of a function; `valueOf` says what is written for the exports of another module. */
  body(valueOf: (path: string) => string): string
}

function parseModule(path: string, text: string): ParsedModule {
  const resolve = (specifier: string): string => posix.join(posix.dirname(path), specifier)
  const isOwn = (specifier: string): boolean => specifier.startsWith('.')
  const specifiers = [...text.matchAll(IMPORT)].flatMap(([, , , , specifier]) => specifier ?? [])
  const exported = [...text.matchAll(EXPORT)].flatMap(([, , name]) => name ?? [])
  const body = (valueOf: (path: string) => string): string => {
    const plain = text
      .replace(IMPORT, (_all, whole?: string, names?: string, _quote?: string, specifier?: string) => {
        if (specifier === undefined) return ''
        if (isOwn(specifier) && whole !== undefined)
          throw new Error(`${path} imports a default: ${specifier}`)
        const value = isOwn(specifier) ? valueOf(resolve(specifier)) : `require('${specifier}')`
        const targets = [
          ...(whole === undefined ? [] : [whole]),
          ...(names === undefined ? [] : [pattern(names)]),
        ]
        return targets.map((target) => `const ${target} = ${value};`).join(' ')
      })
      .replace(EXPORT, '$1 $2')
      .replace(
        IMPORT_ON_DEMAND,
        (_all, _quote, specifier: string) => `Promise.resolve(${valueOf(resolve(specifier))})`,
      )
      .replace(OTHER_IMPORT, '$$import(')
    const [refused] = NOT_UNDERSTOOD.exec(plain) ?? []
    if (refused !== undefined) throw new Error(`${path} cannot be joined with others: ${refused}`)
    return `${plain}\nreturn { ${exported.join(', ')} }`
  }
  return {
    path,
    needs: specifiers.filter(isOwn).map(resolve),
    onDemand: [...text.matchAll(IMPORT_ON_DEMAND)].flatMap(([, , specifier]) =>
      specifier === undefined ? [] : [resolve(specifier)],
    ),
    body,
  }
}

/** `{ a, b as c }` of an import as the pattern of a declaration. */
function pattern(names: string): string {
  return `{${names.replaceAll(/\s+as\s+/g, ': ')}}`
}

function addInOrder(
  path: string,
  above: readonly string[],
  ordered: Set<string>,
  parse: (path: string, from: string) => ParsedModule,
): void {
  if (ordered.has(path)) return
  if (above.includes(path)) throw new Error(`${path} needs itself: ${[...above, path].join(' → ')}`)
  for (const needed of parse(path, above.at(-1) ?? path).needs)
    addInOrder(needed, [...above, path], ordered, parse)
  ordered.add(path)
}

function scriptOf(module: ParsedModule, isAtOnce: (path: string) => boolean): string {
  const body = module.body((path) => (isAtOnce(path) ? nameOf(path) : `${nameOf(path)}()`))
  const name = nameOf(module.path)
  // The brackets tell V8 to compile the whole function at once, since it will run.
  const run = `(() => {\n${body}\n})`
  return isAtOnce(module.path) ? `const ${name} = ${run}()\n` : `const ${name} = $once(${run})\n`
}

/** The variable of a module; the dollar keeps it apart from those inside modules. */
function nameOf(path: string): string {
  return `$${path.replaceAll(/[^\w]/g, '_')}`
}
