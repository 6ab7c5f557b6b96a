import {
  CreateFunctionRequest,
  CreateFunctionRequestBody,
  FuncCode,
} from '@huaweicloud/huaweicloud-sdk-functiongraph'
import type { TestServer } from '../../helpers/server.ts'
import { base64Zip, fc2Client } from '../alibaba-fc/clients.ts'
import { functionGraphClient, scfClient } from './entrances.ts'

/** Every vendor's container of functions has this name, so all functions lie in one. */
export const NAMESPACE = 'portable'
/** The least that every vendor allows. */
const TIMEOUT_S = 3
const MEMORY_MB = 256

/** A function written for one vendor's handler contract in one language, and made through that vendor's own client. */
export interface PortableFunction {
  readonly contract: string
  readonly language: string
  readonly name: string
  /** What code of this contract says it sees of itself. */
  readonly sees: string
  deploy(server: TestServer): Promise<void>
}

/**
 * What all of them do with `{"do": …, "mark": …}`: `return` what they see, `throw`, `sleep` past their time limit, or `log` the
 * mark. `see` is an expression, the only part that a contract decides.
 */
const node = (handler: string, parsed: string, see: string): string => `
exports.${handler} = async (event, context) => {
  const { do: what, mark } = ${parsed}
  if (what === 'throw') throw new TypeError('on purpose ' + mark)
  if (what === 'sleep') await new Promise((resolve) => setTimeout(resolve, 60000))
  if (what === 'log') console.log('logged ' + mark)
  return { mark, sees: ${see} }
}
`

const python = (handler: string, parsed: string, see: string, answer = 'answer'): string => `
import json, time
def ${handler}(event, context):
    asked = ${parsed}
    if asked['do'] == 'throw':
        raise TypeError('on purpose ' + asked['mark'])
    if asked['do'] == 'sleep':
        time.sleep(60)
    if asked['do'] == 'log':
        print('logged ' + asked['mark'])
    answer = {'mark': asked['mark'], 'sees': ${see}}
    return ${answer}
`

export const FUNCTIONS: readonly PortableFunction[] = [
  {
    contract: 'Alibaba FC',
    language: 'Node.js',
    name: 'fc-node',
    sees: 'bytes portable/fc-node',
    deploy: (server) =>
      deployFc(server, 'fc-node', 'nodejs20', {
        'index.js': node(
          'handler',
          'JSON.parse(event)',
          "(Buffer.isBuffer(event) ? 'bytes ' : 'other ') + context.service.name + '/' + context.function.name",
        ),
      }),
  },
  {
    contract: 'Alibaba FC',
    language: 'Python',
    name: 'fc-python',
    sees: 'bytes portable/fc-python',
    deploy: (server) =>
      deployFc(server, 'fc-python', 'python3.10', {
        'index.py': python(
          'handler',
          'json.loads(event)',
          "type(event).__name__ + ' ' + context.service.name + '/' + context.function.name",
          'json.dumps(answer)',
        ),
      }),
  },
  {
    contract: 'Huawei FunctionGraph',
    language: 'Node.js',
    name: 'fg-node',
    sees: 'object portable/fg-node',
    deploy: (server) =>
      deployFunctionGraph(server, 'fg-node', 'Node.js18.15', {
        'index.js': node(
          'handler',
          'event',
          "typeof event + ' ' + context.getPackage() + '/' + context.getFunctionName()",
        ),
      }),
  },
  {
    contract: 'Huawei FunctionGraph',
    language: 'Python',
    name: 'fg-python',
    sees: 'dict portable/fg-python',
    deploy: (server) =>
      deployFunctionGraph(server, 'fg-python', 'Python3.10', {
        'index.py': python(
          'handler',
          'event',
          "type(event).__name__ + ' ' + context.getPackage() + '/' + context.getFunctionName()",
        ),
      }),
  },
  {
    contract: 'Tencent SCF',
    language: 'Node.js',
    name: 'scf-node',
    sees: 'object portable/scf-node',
    deploy: (server) =>
      deployScf(server, 'scf-node', 'Nodejs18.15', {
        'index.js': node(
          'main_handler',
          'event',
          "typeof event + ' ' + context.namespace + '/' + context.function_name",
        ),
      }),
  },
  {
    contract: 'Tencent SCF',
    language: 'Python',
    name: 'scf-python',
    sees: 'dict portable/scf-python',
    deploy: (server) =>
      deployScf(server, 'scf-python', 'Python3.10', {
        'index.py': python(
          'main_handler',
          'event',
          "type(event).__name__ + ' ' + context['namespace'] + '/' + context['function_name']",
        ),
      }),
  },
]

type Files = Readonly<Record<string, string>>

async function deployFc(server: TestServer, name: string, runtime: string, files: Files): Promise<void> {
  await fc2Client(server).createFunction(NAMESPACE, {
    functionName: name,
    runtime,
    handler: 'index.handler',
    memorySize: MEMORY_MB,
    timeout: TIMEOUT_S,
    code: { zipFile: await base64Zip(files) },
  })
}

async function deployFunctionGraph(
  server: TestServer,
  name: string,
  runtime: string,
  files: Files,
): Promise<void> {
  const body = new CreateFunctionRequestBody(name, NAMESPACE)
    .withRuntime(runtime)
    .withTimeout(TIMEOUT_S)
    .withHandler('index.handler')
    .withMemorySize(MEMORY_MB)
    .withCodeType('zip')
    .withCodeFilename('index.zip')
    .withFuncCode(new FuncCode().withFile(await base64Zip(files)))
  await functionGraphClient(server).createFunction(new CreateFunctionRequest().withBody(body))
}

async function deployScf(server: TestServer, name: string, runtime: string, files: Files): Promise<void> {
  await scfClient(server).CreateFunction({
    Namespace: NAMESPACE,
    FunctionName: name,
    Runtime: runtime,
    Handler: 'index.main_handler',
    MemorySize: MEMORY_MB,
    Timeout: TIMEOUT_S,
    Code: { ZipFile: await base64Zip(files) },
  })
}
