-- Each collection knows which embedder made its vectors, so that one can change it and the others keep theirs.
ALTER TABLE collections ADD COLUMN embedder TEXT NOT NULL DEFAULT '';
UPDATE collections SET embedder = COALESCE((SELECT value FROM facts WHERE name = 'embedder'), '');
DROP TABLE facts;

-- The folders of a collection on which another file system was mounted when they were last read; '' is its own folder.
CREATE TABLE mounts (
    collection_id INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    path          TEXT NOT NULL,
    PRIMARY KEY (collection_id, path)
) WITHOUT ROWID;

-- Stems are made by knowledge/lexical.py and separated by spaces; any other character is part of a stem, also the marks
-- of Hindi or Thai at which `unicode61` separates.
CREATE TABLE words_before AS SELECT rowid AS id, title, heading, text FROM words;
DROP TABLE vocabulary;
DROP TABLE words;
CREATE VIRTUAL TABLE words USING fts5 (title, heading, text, tokenize = 'ascii');
INSERT INTO words (rowid, title, heading, text) SELECT id, title, heading, text FROM words_before;
DROP TABLE words_before;
CREATE VIRTUAL TABLE vocabulary USING fts5vocab (words, row);
