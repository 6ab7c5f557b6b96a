-- Leads from one function with waiting tasks to the next, and to each one's oldest: a claim that leaves out functions
-- at their cap must not read all of their tasks.
CREATE INDEX tasks_by_function ON tasks (account, namespace, function_name, due_at_ms)
  WHERE ended_at_ms IS NULL;
