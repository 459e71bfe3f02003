-- The text of a question that came as a command of its platform (a slash command): the platform shows it nowhere, so
-- asking it again needs it from here. It is set when the answer has ended, and `forget` empties it.
ALTER TABLE messages ADD COLUMN question TEXT;
