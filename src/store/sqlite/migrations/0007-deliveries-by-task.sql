-- What became of the telling of a task is looked up with the task.
CREATE INDEX deliveries_by_task ON deliveries (account, request_id);
