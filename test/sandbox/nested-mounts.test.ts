import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { chooseSandbox, probeSandboxes } from '../../src/sandbox/probe.ts'
import type { Sandbox } from '../../src/sandbox/sandbox.ts'
import { run, Workbench } from './harness.ts'

const works = (await probeSandboxes()).some((finding) => finding.driver === 'bwrap' && finding.works)

// A host without bubblewrap has no mounts; that it works where bubblewrap does is held by bwrap.test.ts.
describe.runIf(works)('a mount inside another', () => {
  let workbench: Workbench
  let sandbox: Sandbox
  beforeEach(async () => {
    workbench = new Workbench()
    sandbox = (await chooseSandbox('bwrap')).sandbox
  })
  afterEach(async () => {
    await sandbox.close()
    workbench.close()
  })

  /** A directory of the workbench with these files. */
  function tree(name: string, files: readonly string[]): string {
    const root = join(workbench.dir, name)
    mkdirSync(root)
    for (const file of files) {
      mkdirSync(dirname(join(root, file)), { recursive: true })
      writeFileSync(join(root, file), `${name}:${file}`)
    }
    return root
  }

  /** What a shell script prints inside. */
  async function inside(script: string, mounts: { source: string; target: string }[]): Promise<string> {
    const { exit, stdout, stderr } = await run(sandbox, workbench.shell(script, { mounts }))
    expect([exit, stderr]).toEqual([{ kind: 'exited', exitCode: 0 }, ''])
    return stdout
  }

  test('is seen beside everything of the outer one, where that has no place for it', async () => {
    const outer = tree('outer', ['file', 'lib/a', 'bin/deep/tool'])
    symlinkSync('lib/a', join(outer, 'link'))
    const python = tree('python', ['bin/python'])
    const text = await inside(
      'cd /opt && find . | sort && cat file link lib/a && cat python3.12/bin/python && ! touch /opt/new 2>/dev/null',
      [
        { source: python, target: '/opt/python3.12' },
        { source: outer, target: '/opt' },
      ],
    )
    expect(text).toBe(
      '.\n./bin\n./bin/deep\n./bin/deep/tool\n./file\n./lib\n./lib/a\n./link\n./python3.12\n./python3.12/bin\n' +
        './python3.12/bin/python\nouter:fileouter:lib/aouter:lib/apython:bin/python',
    )
  })

  test('covers the entry of the outer one that is at its place, and keeps those around it', async () => {
    const outer = tree('outer', ['a/b/c/old', 'a/b/kept', 'a/kept'])
    const inner = tree('inner', ['new'])
    const text = await inside('cd /opt && find . -type f | sort', [
      { source: outer, target: '/opt' },
      { source: inner, target: '/opt/a/b/c' },
      { source: inner, target: '/opt/a/x/y' },
    ])
    expect(text).toBe('./a/b/c/new\n./a/b/kept\n./a/kept\n./a/x/y/new\n')
  })

  test('covers a file or a link that is in its way', async () => {
    const outer = tree('outer', ['way', 'other'])
    symlinkSync('other', join(outer, 'linked'))
    const inner = tree('inner', ['new'])
    const text = await inside('cd /opt && find . -type f | sort', [
      { source: outer, target: '/opt' },
      { source: inner, target: '/opt/way/in' },
      { source: inner, target: '/opt/linked' },
    ])
    expect(text).toBe('./linked/new\n./other\n./way/in/new\n')
  })

  test('is refused where too much would have to be made for it', async () => {
    const outer = tree(
      'outer',
      Array.from({ length: 1001 }, (_, index) => `f${index}`),
    )
    const mounts = [
      { source: outer, target: '/opt' },
      { source: outer, target: '/opt/inner' },
    ]
    const { exit } = await run(sandbox, workbench.shell('true', { mounts }))
    expect(exit).toEqual({ kind: 'notStarted', reason: expect.stringContaining('too many files') })
  })
})

// As above: without bubblewrap there are no mounts.
describe.runIf(works)('a mount deep below a directory that the sandbox does not have', () => {
  test.each(['/var/user', '/opt/function/code'])('can be reached by the function: %s', async (target) => {
    const workbench = new Workbench()
    const { sandbox } = await chooseSandbox('bwrap')
    mkdirSync(join(workbench.dir, 'code'), { mode: 0o755 })
    writeFileSync(join(workbench.dir, 'code', 'index'), 'the code', { mode: 0o644 })
    const mounts = [{ source: join(workbench.dir, 'code'), target }]
    const spec = workbench.shell('cat index && pwd', { mounts, workDir: target })
    expect((await run(sandbox, spec)).stdout).toBe(`the code${target}\n`)
    await sandbox.close()
    workbench.close()
  })
})
