// How to add a runtime
//
// 1. A new version of a language below: add it to NAMED_VERSIONS, so that functions can be made for it on hosts that do not have it.
// 2. A new spelling of a language below: add a pattern to FAMILIES. Its group is the wanted version, `20` or `3.10`.
// 3. A new language:
//    a. write its bootstrap under `src/runtimes/<language>/`, speaking the instance protocol (`src/runtimes/protocol.md`);
//    b. add the language to `Language` and teach `interpreters.ts` where hosts keep it and how it tells its version;
//    c. say in `launch-plan.ts` how it is started, and in `bootstraps.ts` how its files are laid out;
//    d. turn its row here from `unsupported` into `language`;
//    e. run the instance protocol's suite, `test/runtimes/protocol.test.ts`, with it.
import { EngineError } from '../model/errors.ts'
import type { Bootstraps } from './bootstraps.ts'
import {
  discoverInterpreters,
  type DiscoverySettings,
  type Interpreter,
  type Language,
} from './interpreters.ts'
import { launchPlan, type LaunchPlan } from './launch-plan.ts'

interface Family {
  /** Matches the whole name in any case; the first group, if any, is the wanted version. */
  readonly pattern: RegExp
  readonly language?: Language
  /** Why functions of this family do not run, for the person who deploys one. */
  readonly unsupported?: string
}

/** Every runtime name that vendors use, by family; the first that matches decides. */
const FAMILIES: readonly Family[] = [
  { pattern: /^node(?:\.?js)?(\d+(?:\.\d+)?)(?:\.x)?$/i, language: 'nodejs' },
  {
    pattern: /^python2(?:\.\d+)?$/i,
    unsupported:
      'Python 2 is not supported: its code does not run on Python 3. Port it and name a runtime like python3.10',
  },
  { pattern: /^python(\d+(?:\.\d+)?)$/i, language: 'python' },
  {
    pattern: /^(?:java|cangjie)/i,
    unsupported: 'Java and other JVM or compiled runtimes are not supported yet',
  },
  { pattern: /^(?:go|provided|rust)/i, unsupported: 'Go and other compiled runtimes are not supported yet' },
  { pattern: /^php/i, unsupported: 'PHP is not supported yet' },
  { pattern: /^ruby/i, unsupported: 'Ruby is not supported yet' },
  { pattern: /^(?:dotnet|c#)/i, unsupported: '.NET is not supported yet' },
  { pattern: /^custom[-_. ]?(?:container|image)/i, unsupported: 'Container images are not supported yet' },
  {
    pattern: /^(?:custom|http)/i,
    unsupported: 'Custom runtimes that bring their own server are not supported yet',
  },
]

/**
 * Versions that runtimes of vendors have, as far as they are known. A function can be made for one of them, whatever the host has, and for
 * each that the host has; every other name is more likely a slip than a wish.
 */
const NAMED_VERSIONS: Record<Language, readonly string[]> = {
  nodejs: ['4', '6', '8', '10', '12', '14', '16', '18', '20', '22', '24', '26'],
  python: ['3', '3.6', '3.7', '3.8', '3.9', '3.10', '3.11', '3.12', '3.13', '3.14', '3.15'],
}

/** What to install when no interpreter of a language is there. */
const INSTALL_HINTS: Record<Language, string> = {
  nodejs: 'Install Node.js 20 or newer, or name one in the setting nodePath',
  python: 'Install Python 3.9 or newer (`apt-get install python3`), or name one in the setting pythonPath',
}

/** A runtime name together with the interpreter that runs it on this host. */
export interface ResolvedRuntime {
  /** As the user wrote it. */
  readonly name: string
  readonly language: Language
  /** Its version may be another than the name asks for; see {@link RuntimeTable.resolve}. */
  readonly interpreter: Interpreter
}

/** A runtime name, and the version that its functions run on, which is another than it asks for. */
export interface Substitution {
  readonly runtime: string
  readonly version: string
}

/** Maps the runtime names of all vendors to what this host can run. */
export class RuntimeTable {
  readonly #interpreters: readonly Interpreter[]
  readonly #tell: (substitution: Substitution) => void
  /** Names whose substitution was told. */
  readonly #told = new Set<string>()

  /** @param tell Told once of each name that functions run under on another version. */
  constructor(
    interpreters: readonly Interpreter[],
    tell: (substitution: Substitution) => void = () => undefined,
  ) {
    this.#interpreters = interpreters
    this.#tell = tell
  }

  /** Looks at the host once; interpreters installed later are seen after a restart. */
  static async discover(
    settings: DiscoverySettings = {},
    tell?: (substitution: Substitution) => void,
  ): Promise<RuntimeTable> {
    return new RuntimeTable(await discoverInterpreters(settings), tell)
  }

  /** Every interpreter found, in the order in which they are preferred. */
  get interpreters(): readonly Interpreter[] {
    return this.#interpreters
  }

  /**
   * Whether a function may be made for a runtime. What was made runs by {@link resolve}, also when its version is there no more.
   *
   * @throws {EngineError} as `resolve`, and where the host does not have its version and no vendor is known to have had it.
   */
  require(name: string): void {
    const { language, wanted } = parseRuntimeName(name)
    const { interpreter } = this.#pick(name)
    if (isVersion(interpreter, wanted) || NAMED_VERSIONS[language].includes(wanted.join('.'))) return
    const here = this.#interpreters.filter((one) => one.language === language).map(({ version }) => version)
    const hint = `This version is not known, nor installed. Known are ${NAMED_VERSIONS[language].join(', ')}; installed is ${here.join(', ')}`
    throw new EngineError('caller/runtime-missing', { runtime: name, hint })
  }

  /**
   * Picks the interpreter for a runtime name: the version asked for; if it is not there, the nearest newer one of the same
   * language; if there is none, the newest that is older.
   *
   * @throws {EngineError} `caller/runtime-missing` with a hint about what to install or that the language is not supported.
   */
  resolve(name: string): ResolvedRuntime {
    const { wanted, ...resolved } = this.#pick(name)
    const { interpreter } = resolved
    if (!isVersion(interpreter, wanted) && !this.#told.has(name)) {
      this.#told.add(name)
      this.#tell({ runtime: name, version: interpreter.version })
    }
    return resolved
  }

  #pick(name: string): ResolvedRuntime & { readonly wanted: readonly number[] } {
    const { language, wanted } = parseRuntimeName(name)
    const interpreter = closest(
      this.#interpreters.filter((candidate) => candidate.language === language),
      wanted,
    )
    if (interpreter === undefined)
      throw new EngineError('caller/runtime-missing', { runtime: name, hint: INSTALL_HINTS[language] })
    return { name, language, interpreter, wanted }
  }

  /** See {@link launchPlan}. */
  launchPlan(runtime: ResolvedRuntime, bootstraps: Bootstraps, limits: { memoryMib: number }): LaunchPlan {
    return launchPlan(runtime.interpreter, bootstraps, limits)
  }
}

/**
 * Reads a runtime name of any vendor.
 *
 * @returns The language and the version numbers named, one or two; `nodejs20` gives `[20]`, `Python3.10` gives `[3, 10]`.
 *   Node.js counts by its first number alone, since the second names a feature release of the same line.
 * @throws {EngineError} `caller/runtime-missing`
 */
export function parseRuntimeName(name: string): { language: Language; wanted: readonly number[] } {
  for (const { pattern, language, unsupported } of FAMILIES) {
    const match = pattern.exec(name)
    if (match === null) continue
    if (language === undefined)
      throw new EngineError('caller/runtime-missing', { runtime: name, hint: unsupported ?? '' })
    const numbers = (match[1] ?? '').split('.').map(Number)
    return { language, wanted: language === 'nodejs' ? numbers.slice(0, 1) : numbers }
  }
  throw new EngineError('caller/runtime-missing', {
    runtime: name,
    hint: 'This runtime is not known. Node.js and Python are supported, named like nodejs20 or python3.10',
  })
}

/**
 * Versions that runtimes are named for and that are not there, by the one that their functions run on: each once, in the order of versions.
 *
 * @param interpreters Of this host.
 */
export function substitutionsOf(
  language: Language,
  interpreters: readonly Interpreter[],
): ReadonlyMap<string, readonly string[]> {
  const candidates = interpreters.filter((one) => one.language === language)
  const substitutions = new Map<string, string[]>()
  for (const named of NAMED_VERSIONS[language]) {
    const wanted = named.split('.').map(Number)
    const interpreter = closest(candidates, wanted)
    if (interpreter === undefined || isVersion(interpreter, wanted)) continue
    const instead = substitutions.get(interpreter.version) ?? []
    substitutions.set(interpreter.version, [...instead, named])
  }
  return substitutions
}

function isVersion(interpreter: Interpreter, wanted: readonly number[]): boolean {
  return compareVersions(versionNumbers(interpreter).slice(0, wanted.length), wanted) === 0
}

function closest(candidates: readonly Interpreter[], wanted: readonly number[]): Interpreter | undefined {
  const compared = candidates.map((candidate) => ({
    candidate,
    order: compareVersions(versionNumbers(candidate).slice(0, wanted.length), wanted),
  }))
  // Sorting is stable: of equal versions the one preferred by discovery stays first.
  const ascending = (among: typeof compared): typeof compared =>
    among.sort((a, b) => compareVersions(versionNumbers(a.candidate), versionNumbers(b.candidate)))
  const exact = compared.find(({ order }) => order === 0)
  const newer = ascending(compared.filter(({ order }) => order > 0))[0]
  const older = ascending(compared.filter(({ order }) => order < 0)).at(-1)
  return (exact ?? newer ?? older)?.candidate
}

function versionNumbers(interpreter: Interpreter): number[] {
  return interpreter.version.split('.').map((part) => Number.parseInt(part, 10))
}

function compareVersions(a: readonly number[], b: readonly number[]): number {
  for (let place = 0; place < Math.max(a.length, b.length); place += 1) {
    const difference = (a[place] ?? 0) - (b[place] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}
