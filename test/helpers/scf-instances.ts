import {
  codeDirectory,
  type Driver,
  nodeFunction,
  pythonFunction,
  type SetupOverrides,
  startBootstrap,
  TYPE,
} from './bootstrap-driver.ts'

/** What `src/contracts/tencent-scf.ts` puts into the set-up, for tests that drive a bootstrap by themselves. */
export function scfContext(generation: readonly number[], members: Record<string, unknown> = {}) {
  return {
    generation,
    members: {
      memory_limit_in_mb: 128,
      time_limit_in_ms: 3000,
      environment: '{"SCF_NAMESPACE":"default","MINE":"a=b"}',
      environ: 'SCF_NAMESPACE=default;MINE=a=b',
      function_version: '$LATEST',
      function_name: 'hello',
      namespace: 'default',
      tencentcloud_region: 'ap-guangzhou',
      tencentcloud_appid: '1250000000',
      tencentcloud_uin: '100000000001',
      ...members,
    },
  }
}

const COMMON = { contract: 'tencent-scf', handler: 'index.main_handler' }

/** A ready instance of an SCF function in Node.js: its `index.js` with `main_handler`, on Nodejs12.16 unless told otherwise. */
export function scfNode(
  source: string,
  generation: readonly number[] = [12, 16],
  overrides: Partial<SetupOverrides> = {},
): Promise<Driver> {
  return nodeFunction(source, { ...COMMON, context: scfContext(generation), ...overrides })
}

/** The same for Python: its `index.py`. */
export function scfPython(source: string, overrides: Partial<SetupOverrides> = {}): Promise<Driver> {
  return pythonFunction(source, { ...COMMON, context: scfContext([3, 7]), ...overrides })
}

/** How an instance that cannot be loaded fails: the FAILED frame's meta and its error body. */
export async function scfLoadFailure(
  language: 'nodejs' | 'python',
  files: Record<string, string>,
  handler = COMMON.handler,
): Promise<{ meta: Record<string, unknown>; flag: number; text: string; log: string }> {
  const driver = await startBootstrap(language)
  const context = scfContext(language === 'nodejs' ? [12, 16] : [3, 7])
  driver.setup({ ...COMMON, handler, codeDir: codeDirectory(files), context })
  const frame = await driver.frame(({ type }) => type === TYPE.failed || type === TYPE.ready)
  if (frame.type !== TYPE.failed) throw new Error('it is ready')
  await driver.exited
  return { meta: frame.meta, flag: frame.flag, text: frame.payload.toString(), log: driver.logOf(0) }
}
