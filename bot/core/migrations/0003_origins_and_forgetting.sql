-- What a turn was made of goes with it: `collections` of everything in its prompt, earlier turns included; `people`, a
-- JSON list of those whose words were in it; `private`: one person read it, its own.
PRAGMA secure_delete = ON;
ALTER TABLE turns ADD COLUMN private INTEGER NOT NULL DEFAULT 1;
ALTER TABLE turns ADD COLUMN people TEXT NOT NULL DEFAULT '[]';
CREATE INDEX turns_message ON turns (platform, event_id);

-- Of older turns nobody knows which others they were made of, nor who read them: all of their conversation, and one.
UPDATE turns SET collections = found.names FROM
    (SELECT conversation, json_group_array(DISTINCT value) AS names
     FROM turns AS every, json_each(every.collections) GROUP BY conversation) AS found
WHERE found.conversation = turns.conversation;
UPDATE turns SET people = found.names FROM
    (SELECT conversation, json_group_array(DISTINCT person) AS names FROM turns GROUP BY conversation) AS found
WHERE found.conversation = turns.conversation;

-- The passages of attached files stay while theirs is the last answer of a conversation.
ALTER TABLE answers ADD COLUMN private INTEGER NOT NULL DEFAULT 0;
DELETE FROM sources WHERE collection = '';
CREATE INDEX sources_attached ON sources (platform, event_id) WHERE collection = '';

-- The engine's keys whose saved states must be dropped, because something in them was deleted.
CREATE TABLE forgotten_states (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    key    TEXT NOT NULL
);
