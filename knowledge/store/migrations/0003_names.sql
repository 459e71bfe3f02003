-- What a passage is found by besides its words, in a table of its own, so that the lengths of texts stay what they are for
-- BM25. `path`: the stems of the document's path; `codes`: the words that stand for dates, long numbers and compounds.
-- Both are made by knowledge/lexical.py, at the next reindex; the rowid is the passage's id.
CREATE VIRTUAL TABLE names USING fts5 (path, codes, tokenize = 'ascii');
CREATE VIRTUAL TABLE names_vocabulary USING fts5vocab (names, row);

CREATE TRIGGER passages_unnamed AFTER DELETE ON passages BEGIN
    DELETE FROM names WHERE rowid = old.id;
END;
