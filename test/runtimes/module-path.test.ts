import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { modulePath } from '../../src/contracts/module-path.ts'
import { alibabaContext, closeDrivers, codeDirectory, startBootstrap } from '../helpers/bootstrap-driver.ts'

afterEach(closeDrivers)

const LANGUAGES = {
  nodejs: {
    variable: 'NODE_PATH',
    context: alibabaContext([20]),
    code: { 'index.js': `exports.handler = async () => require('shared') + require('only')` },
    shared: (text: string) => ({ 'shared.js': `module.exports = '${text} '` }),
    packaged: { 'only/package.json': '{"main":"m.js"}', 'only/m.js': `module.exports = 'a package'` },
    inCode: { 'node_modules/shared/index.js': `module.exports = 'of the code '` },
    ofChild: `exports.handler = async () => require('child_process').execFileSync(process.execPath, ['-p', 'require("only")'])`,
    main: 'index.js',
  },
  python: {
    variable: 'PYTHONPATH',
    context: alibabaContext([3, 10]),
    code: { 'index.py': 'import shared, only\ndef handler(event, context): return shared.text + only.text' },
    shared: (text: string) => ({ 'shared.py': `text = '${text} '` }),
    packaged: { 'only/__init__.py': "text = 'a package'" },
    inCode: { 'shared.py': "text = 'of the code '" },
    ofChild: `
import subprocess, sys
def handler(event, context):
    return subprocess.check_output([sys.executable, '-c', 'import only; print(only.text)'])`,
    main: 'index.py',
  },
} as const

describe.each(['nodejs', 'python'] as const)('the module path of %s code', (language) => {
  const { variable, context, code, shared, packaged, inCode, ofChild, main } = LANGUAGES[language]

  async function answer(files: Record<string, string>, path: string): Promise<string> {
    const driver = await startBootstrap(language)
    const environment = { PATH: '/usr/bin:/bin', [variable]: path }
    await driver.ready({ handler: 'index.handler', codeDir: codeDirectory(files), environment, context })
    return (await driver.call()).payload.toString().trim()
  }

  test('leads to the packages of layers, the first directory first', async () => {
    const [first, second] = [
      codeDirectory(shared('first')),
      codeDirectory({ ...shared('second'), ...packaged }),
    ]
    expect(await answer(code, `${first}:${second}`)).toBe('first a package')
    expect(await answer(code, `${join(first, 'missing')}::${second}:${first}`)).toBe('second a package')
  })

  test('comes after what the code brings itself', async () => {
    const layer = codeDirectory({ ...shared('of the layer'), ...packaged })
    expect(await answer({ ...code, ...inCode }, layer)).toBe('of the code a package')
  })

  test('holds for programs that the code starts', async () => {
    expect(await answer({ [main]: ofChild }, codeDirectory(packaged))).toBe('a package')
  })
})

test('a module path has the directories of the contract, then those of the user', () => {
  expect(modulePath(['/a', undefined, '/b'], '/mine:/more')).toBe('/a:/b:/mine:/more')
  expect(modulePath(['/a'], undefined)).toBe('/a')
  expect(modulePath([undefined], '')).toBe('')
})
