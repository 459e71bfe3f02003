-- The journal: every message that is to be answered, and how far its answer has come.
-- After an answer has ended only platform, event_id, conversation, person and state stay, so that nothing is
-- answered again; `forget` empties conversation and person too.
CREATE TABLE messages (
    platform     TEXT NOT NULL,
    event_id     TEXT NOT NULL,
    conversation TEXT NOT NULL,
    person       TEXT NOT NULL,
    state        TEXT NOT NULL
                 CHECK (state IN ('received', 'answering', 'written', 'answered', 'failed', 'cancelled', 'ignored')),
    attempts     INTEGER NOT NULL DEFAULT 0,
    crashes      INTEGER NOT NULL DEFAULT 0,
    received_at  REAL NOT NULL,
    message      TEXT,
    PRIMARY KEY (platform, event_id)
);
CREATE INDEX messages_open ON messages (platform, state) WHERE state IN ('received', 'answering', 'written');
CREATE INDEX messages_person ON messages (person);
CREATE INDEX messages_conversation ON messages (conversation);

-- What the bot has posted as part of each reply.
CREATE TABLE parts (
    platform    TEXT NOT NULL,
    event_id    TEXT NOT NULL,
    number      INTEGER NOT NULL,
    platform_id TEXT NOT NULL,
    PRIMARY KEY (platform, event_id, number)
);

-- Files sent with a message, kept until its answer has ended.
CREATE TABLE attachments (
    platform   TEXT NOT NULL,
    event_id   TEXT NOT NULL,
    number     INTEGER NOT NULL,
    name       TEXT NOT NULL,
    media_type TEXT NOT NULL,
    data       BLOB NOT NULL,
    PRIMARY KEY (platform, event_id, number)
);

-- A written answer, whole, until the platform has it; its figures stay.
CREATE TABLE answers (
    platform TEXT NOT NULL,
    event_id TEXT NOT NULL,
    text     TEXT,
    note     TEXT,
    outcome  TEXT NOT NULL,
    ended_at REAL NOT NULL,
    timings  TEXT NOT NULL,
    PRIMARY KEY (platform, event_id)
);
CREATE INDEX answers_ended ON answers (ended_at);

-- What an ended answer no longer needs goes with its end, in the same statement.
CREATE TRIGGER messages_ended AFTER UPDATE OF state ON messages
WHEN NEW.state IN ('answered', 'failed', 'cancelled', 'ignored')
BEGIN
    UPDATE answers SET text = NULL, note = NULL WHERE platform = NEW.platform AND event_id = NEW.event_id;
    DELETE FROM attachments WHERE platform = NEW.platform AND event_id = NEW.event_id;
END;

-- What the model will read of a conversation. `collections` is a JSON list: the collections the turn rests on.
CREATE TABLE turns (
    id           INTEGER PRIMARY KEY,
    platform     TEXT NOT NULL,
    event_id     TEXT NOT NULL,
    conversation TEXT NOT NULL,
    person       TEXT NOT NULL,
    role         TEXT NOT NULL CHECK (role IN ('user', 'assistant')),
    speaker      TEXT NOT NULL,
    text         TEXT NOT NULL,
    collections  TEXT NOT NULL
);
CREATE INDEX turns_conversation ON turns (conversation, id);
CREATE INDEX turns_person ON turns (person);

-- The passages each answer rests on, as they were when it was given.
CREATE TABLE sources (
    platform   TEXT NOT NULL,
    event_id   TEXT NOT NULL,
    number     INTEGER NOT NULL,
    collection TEXT NOT NULL,
    document   TEXT NOT NULL,
    title      TEXT NOT NULL,
    place      TEXT NOT NULL,
    text       TEXT NOT NULL,
    score      REAL NOT NULL,
    PRIMARY KEY (platform, event_id, number)
);

-- What is remembered of a conversation itself. `first_turn`: older turns are no longer put in front of the model.
CREATE TABLE conversations (
    id         TEXT PRIMARY KEY,
    language   TEXT,
    first_turn INTEGER NOT NULL DEFAULT 0
);
