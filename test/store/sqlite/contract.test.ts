import { describeDefinitionStore } from '../../contracts/store/definition-store.ts'
import { describeTaskLookup } from '../../contracts/store/task-lookup.ts'
import { describeTaskQueue } from '../../contracts/store/task-queue.ts'
import { StoreHarness } from './harness.ts'

describeDefinitionStore('SQLite', () => StoreHarness.open())
describeTaskQueue('SQLite', (limits) => StoreHarness.open(limits))
describeTaskLookup('SQLite', (options) => StoreHarness.open(options))
