-- `read_at`: when the file was last read, in seconds since 1970. `unread`: which part of it was not read, and why.
ALTER TABLE files ADD COLUMN read_at REAL;
ALTER TABLE files ADD COLUMN unread TEXT NOT NULL DEFAULT '';

-- The files and folders that the last reindex left out, by cause and by what they have in common.
CREATE TABLE left_out (
    collection_id INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    cause         TEXT NOT NULL,
    name          TEXT NOT NULL,
    count         INTEGER NOT NULL,
    PRIMARY KEY (collection_id, cause, name)
) WITHOUT ROWID;
