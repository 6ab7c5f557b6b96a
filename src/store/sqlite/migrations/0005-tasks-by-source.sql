-- Computed from what is stored anyway: nothing is written twice, and older tasks have it too.
ALTER TABLE tasks ADD COLUMN source TEXT AS (json_extract(plan, '$.source')) VIRTUAL;
CREATE INDEX tasks_by_source ON tasks (account, namespace, function_name, source, accepted_at_ms)
  WHERE source IS NOT NULL;
