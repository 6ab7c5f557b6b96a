// Builds dist/, which the npm package ships: JavaScript of the server, of what runs inside sandboxes, and every file
// beside them that is read at run time.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, rmSync } from 'node:fs'
import { extname, join, relative } from 'node:path'
import { carriedNode, checkoutEnvironment, fail, root, setUp } from './setup.js'

const source = join(root, 'src')
const target = join(root, 'dist')
const bootstrap = join('runtimes', 'nodejs')

setUp()
rmSync(target, { recursive: true, force: true })
compile(['-p', 'tsconfig.build.json'])
compile(
  ['-p', join('src', bootstrap), '--noEmit', 'false', '--rewriteRelativeImportExtensions'].concat([
    '--rootDir',
    join('src', bootstrap),
    '--outDir',
    join('dist', bootstrap),
  ]),
)
cpSync(source, target, { recursive: true, filter: (path) => isReadAtRunTime(relative(source, path)) })

function compile(args) {
  const { status } = spawnSync(carriedNode, [join(root, 'node_modules', '.bin', 'tsc'), ...args], {
    cwd: root,
    env: checkoutEnvironment(),
    stdio: 'inherit',
  })
  if (status !== 0) fail('The build failed.')
}

function isReadAtRunTime(path) {
  const name = path.split('/').at(-1)
  if (name.startsWith('.') || name === '__pycache__' || name === 'tsconfig.json') return false
  if (['.ts', '.md', '.pyc'].includes(extname(name))) return false
  const isTaken = extname(name) !== '' && existsSync(join(target, path))
  if (isTaken)
    fail(`src/${path} would replace what was compiled from the .ts file of the same name: rename it.`)
  return true
}
