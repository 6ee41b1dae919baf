-- +goose Up
ALTER TABLE authorities ADD COLUMN file TEXT NOT NULL DEFAULT 'ca.key'; -- with the key, if it is not on a card

-- Certificates of the CA that others took the place of, and those that its keys signed for
-- each other.
CREATE TABLE former (
    authority INTEGER NOT NULL REFERENCES authorities (id),
    file      TEXT    NOT NULL, -- that it is published in
    der       BLOB    NOT NULL
) STRICT;

-- +goose Down
DROP TABLE former;
ALTER TABLE authorities DROP COLUMN file;
