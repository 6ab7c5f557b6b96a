-- How long a message is tried is told by its tries: what passes while no server runs is no time of theirs.
ALTER TABLE deliveries DROP COLUMN first_tried_at_ms;
