import { describeDefinitionStore } from '../../contracts/store/definition-store.ts'
import { describeTaskQueue } from '../../contracts/store/task-queue.ts'
import { StoreHarness } from './harness.ts'

describeDefinitionStore('SQLite', () => StoreHarness.open())
describeTaskQueue('SQLite', (limits) => StoreHarness.open(limits))
