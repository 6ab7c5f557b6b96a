import { alibabaFc } from './alibaba-fc.ts'
import type { HandlerContract } from './contract.ts'
import { huaweiFunctionGraph } from './huawei-functiongraph.ts'
import { tencentScf } from './tencent-scf.ts'

/** Every handler contract that a function can be written for, by its name. */
export const CONTRACTS: ReadonlyMap<string, HandlerContract> = new Map(
  [alibabaFc, huaweiFunctionGraph, tencentScf].map((contract) => [contract.name, contract]),
)
