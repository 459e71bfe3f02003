-- The truth about collections: what files were read, their documents and passages, words and vectors.

CREATE TABLE facts (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- Grows by one with every change; index files say up to which number they are complete.
CREATE TABLE sequence (value INTEGER NOT NULL);
INSERT INTO sequence (value) VALUES (0);

CREATE TABLE collections (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE
);

-- `hash` covers content and how it was read; NULL: read it again. `error`: why the last reading failed.
CREATE TABLE files (
    id            INTEGER PRIMARY KEY,
    collection_id INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    path          TEXT NOT NULL,
    size_bytes    INTEGER NOT NULL,
    mtime_ns      INTEGER NOT NULL,
    inode         INTEGER NOT NULL,
    hash          TEXT,
    error         TEXT,
    UNIQUE (collection_id, path)
);

CREATE TABLE documents (
    id       INTEGER PRIMARY KEY,
    file_id  INTEGER NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    name     TEXT NOT NULL,
    title    TEXT NOT NULL,
    language TEXT NOT NULL,
    hash     TEXT NOT NULL
);
CREATE INDEX documents_by_file ON documents (file_id);

-- Ids are never used twice, so a vector index can be told "gone" and "new" in any order.
CREATE TABLE passages (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    document_id   INTEGER NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    collection_id INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    heading       TEXT NOT NULL,
    page          INTEGER,
    row           INTEGER,
    start         INTEGER NOT NULL,
    end           INTEGER NOT NULL,
    text          TEXT NOT NULL,
    text_hash     BLOB NOT NULL
);
CREATE INDEX passages_by_document ON passages (document_id);
CREATE INDEX passages_by_collection ON passages (collection_id);
CREATE INDEX passages_by_text ON passages (text_hash);

-- Unit vectors, little-endian float16.
CREATE TABLE vectors (
    passage_id    INTEGER PRIMARY KEY REFERENCES passages (id) ON DELETE CASCADE,
    collection_id INTEGER NOT NULL,
    seq           INTEGER NOT NULL,
    vector        BLOB NOT NULL
);
CREATE INDEX vectors_by_seq ON vectors (collection_id, seq);

CREATE TABLE tombstones (
    collection_id INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    seq           INTEGER NOT NULL,
    passage_id    INTEGER NOT NULL,
    PRIMARY KEY (collection_id, seq, passage_id)
) WITHOUT ROWID;

-- The vector index files on disk that may be trusted, if their checksum still holds.
CREATE TABLE index_files (
    collection_id INTEGER PRIMARY KEY REFERENCES collections (id) ON DELETE CASCADE,
    name          TEXT NOT NULL,
    last_seq      INTEGER NOT NULL,
    count         INTEGER NOT NULL,
    dimension     INTEGER NOT NULL,
    xxh3          TEXT NOT NULL,
    total         BLOB NOT NULL
);

-- Word stems, made by knowledge/lexical.py; the rowid is the passage's id.
CREATE VIRTUAL TABLE words USING fts5 (title, heading, text, tokenize = 'unicode61 remove_diacritics 2');
CREATE VIRTUAL TABLE vocabulary USING fts5vocab (words, row);

CREATE TRIGGER passages_gone AFTER DELETE ON passages BEGIN
    DELETE FROM words WHERE rowid = old.id;
    INSERT OR IGNORE INTO tombstones (collection_id, seq, passage_id)
        SELECT old.collection_id, (SELECT value FROM sequence), old.id
        WHERE EXISTS (SELECT 1 FROM collections WHERE id = old.collection_id);
END;
