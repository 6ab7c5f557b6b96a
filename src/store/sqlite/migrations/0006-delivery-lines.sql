-- Whose answer a delivery waits for: the origin of a webhook; empty for nobody's. Deliveries of a function to one place are a line.
ALTER TABLE deliveries ADD COLUMN place TEXT NOT NULL DEFAULT '';
DROP INDEX deliveries_by_due;
DROP INDEX deliveries_by_end;
CREATE INDEX deliveries_by_line ON deliveries (account, namespace, function_name, place, due_at_ms)
  WHERE ended_at_ms IS NULL;
CREATE INDEX deliveries_leased ON deliveries (account, namespace, function_name, place, due_at_ms)
  WHERE status = 'leased';
CREATE INDEX deliveries_by_end ON deliveries (account, namespace, function_name, ended_at_ms)
  WHERE ended_at_ms IS NOT NULL;

ALTER TABLE function_queues ADD COLUMN deliveries INTEGER NOT NULL DEFAULT 0;
ALTER TABLE function_queues ADD COLUMN deliveries_waiting INTEGER NOT NULL DEFAULT 0;
ALTER TABLE function_queues ADD COLUMN delivering INTEGER NOT NULL DEFAULT 0;
ALTER TABLE function_queues ADD COLUMN delivered INTEGER NOT NULL DEFAULT 0;
ALTER TABLE function_queues ADD COLUMN undeliverable INTEGER NOT NULL DEFAULT 0;
ALTER TABLE function_queues ADD COLUMN forgotten_undeliverable INTEGER NOT NULL DEFAULT 0;
ALTER TABLE function_queues ADD COLUMN delivery_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE function_queues ADD COLUMN undeliverable_bytes INTEGER NOT NULL DEFAULT 0;
-- The function was first seen to be deleted with nothing kept of it.
ALTER TABLE function_queues ADD COLUMN gone_since_ms INTEGER;

UPDATE function_queues SET (deliveries, deliveries_waiting, delivering, undeliverable, delivery_bytes, undeliverable_bytes) =
  (SELECT count(*), count(*) FILTER (WHERE status = 'waiting'), count(*) FILTER (WHERE status = 'leased'),
     count(*) FILTER (WHERE status = 'undeliverable'),
     coalesce(sum(length(body)) FILTER (WHERE ended_at_ms IS NULL), 0),
     coalesce(sum(length(body)) FILTER (WHERE ended_at_ms IS NOT NULL), 0)
   FROM deliveries
   WHERE deliveries.account = function_queues.account AND deliveries.namespace = function_queues.namespace
     AND deliveries.function_name = function_queues.function_name);
