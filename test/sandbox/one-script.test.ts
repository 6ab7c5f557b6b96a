import { createRequire } from 'node:module'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { joinModules } from '../../src/sandbox/one-script.ts'

/** What the joined modules tell, in order. */
function run(files: Readonly<Record<string, string>>, entry = 'main.js'): unknown[] {
  const told: unknown[] = []
  const modules = Object.entries(files).map(([path, text]) => ({ path, text }))
  const tell = (value: unknown): number => told.push(value)
  const program: unknown = runInNewContext(joinModules(modules, entry), { tell })
  const load = (specifier: string): number => tell(`import of ${specifier}`)
  if (typeof program === 'function') program(load, createRequire(import.meta.url))
  return told
}

test('every module runs once, after those it needs', () => {
  expect(
    run({
      'main.js': `import { b } from './deep/b.js'\nimport { a } from './a.js'\ntell(['main', a, b])`,
      'a.js': `tell('a')\nexport const a = 1`,
      'deep/b.js': `import { a as first, half } from '../a2.js'\nimport {\n  a,\n} from "../a.js"\ntell('b')\nexport const b = [a, first, half()]`,
      'a2.js': `tell('a2')\nexport const a = 2\nexport function half() { return a / 2 }`,
    }),
  ).toEqual(['a2', 'a', 'b', ['main', 1, [1, 2, 1]]])
})

test('names inside a module are its own', () => {
  expect(
    run({
      'main.js': `import { value } from './other.js'\nconst hidden = 'mine'\ntell([value, hidden])`,
      'other.js': `const hidden = 'its'\nexport const value = hidden`,
    }),
  ).toEqual([['its', 'mine']])
})

test('functions, asynchronous ones and classes are exported, and what Node.js has is had', () => {
  expect(
    run({
      'main.js': `import path, { sep } from 'node:path'\nimport { now, Later, soon } from './all.js'\ntell([now(), new Later().when, typeof soon().then, path.sep === sep])`,
      'all.js': `export function now() { return 'now' }\nexport async function soon() {}\nexport class Later { when = 'later' }`,
    }),
  ).toEqual([['now', 'later', 'function', true]])
})

test('what is imported on demand runs once, when it is demanded', async () => {
  const told = run({
    'main.js':
      `import { shared } from './shared.js'\ntell('main')\n` +
      `const load = async () => tell((await import('./late.js')).late)\nload().then(load)`,
    'late.js': `import { shared } from './shared.js'\nimport { part } from './part.js'\ntell('late runs')\nexport const late = shared + part`,
    'part.js': `tell('part runs')\nexport const part = 'p'`,
    'shared.js': `export const shared = 's'`,
  })
  await nextTurn()
  expect(told).toEqual(['main', 'part runs', 'late runs', 'sp', 'sp'])
})

test('any other import is left to who runs the program', () => {
  expect(run({ 'main.js': `const name = 'node:fs'\nvoid import(name)\nvoid import('left-pad')` })).toEqual([
    'import of node:fs',
    'import of left-pad',
  ])
})

test('a module that nothing imports is left out', () => {
  expect(run({ 'main.js': `tell('main')`, 'alone.js': `tell('alone')` })).toEqual(['main'])
})

test('the script is strict, as modules are', () => {
  expect(run({ 'main.js': `tell((function () { return this })())` })).toEqual([undefined])
})

test.each([
  ['a default export', `export default 1`],
  ['a list of exports', `const a = 1\nexport { a }`],
  ['an export of what another has', `export { a } from './b.js'`],
  ['a variable that may change', `export let a = 1`],
  ['all of a module', `import * as all from 'node:fs'`],
  ['an import for its effects', `import './b.js'`],
  ['its own address', `tell(import.meta.url)`],
  ['a default of another module', `import b from './b.js'`],
])('%s is refused, by the name of the file', (_name, text) => {
  expect(() => run({ 'main.js': text, 'b.js': 'export const a = 1' })).toThrow('main.js')
})

test('a module that is missing, or needs itself, is refused', () => {
  expect(() => run({ 'main.js': `import { a } from './gone.js'` })).toThrow('main.js imports gone.js')
  const circle = {
    'main.js': `import { b } from './b.js'\nexport const a = 1`,
    'b.js': `import { a } from './main.js'\nexport const b = 1`,
  }
  expect(() => run(circle)).toThrow('main.js → b.js → main.js')
})
