-- +goose Up
-- One text for SQLite and PostgreSQL, so that a backup of one opens in the other: TEXT and
-- BIGINT alone. Times are milliseconds since 1970; yes is 1, no is 0; 0 is nobody.

CREATE TABLE about (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

-- What happened. Each hash is the SHA-256 of previous, number, at, token, serial, person
-- and data, with a line feed between them. Persons are numbers here, never names.
CREATE TABLE event (
    number   BIGINT NOT NULL PRIMARY KEY,
    at       BIGINT NOT NULL,
    token    TEXT   NOT NULL UNIQUE, -- of the writer, who may ask whether it was stored
    serial   TEXT   NOT NULL,        -- of a card, or empty
    person   BIGINT NOT NULL,
    data     TEXT   NOT NULL,        -- JSON
    previous TEXT   NOT NULL,        -- the hash before, empty for the first
    hash     TEXT   NOT NULL         -- upper-case hex
);
CREATE INDEX event_serial ON event (serial, number);
CREATE INDEX event_person ON event (person, number);

CREATE TABLE signature (
    number    BIGINT NOT NULL, -- the event up to which is signed
    hash      TEXT   NOT NULL,
    at        BIGINT NOT NULL,
    key       TEXT   NOT NULL, -- PEM
    signature TEXT   NOT NULL, -- hex
    PRIMARY KEY (number, key)
);

-- A number is that of the event with which somebody, or something, came in.
CREATE TABLE person (
    number BIGINT NOT NULL PRIMARY KEY,
    id     TEXT   NOT NULL, -- empty for somebody who was forgotten
    name   TEXT   NOT NULL
);
CREATE UNIQUE INDEX person_id ON person (id) WHERE id <> '';

CREATE TABLE card (
    serial TEXT   NOT NULL PRIMARY KEY,
    family TEXT   NOT NULL,
    reader TEXT   NOT NULL,
    state  TEXT   NOT NULL CHECK (state IN ('stock', 'issuing', 'active', 'suspended', 'lost', 'damaged', 'returned', 'revoked')),
    person BIGINT NOT NULL,
    since  BIGINT NOT NULL, -- when the state began
    entry  BIGINT NOT NULL  -- the event that announced the last change
);
CREATE INDEX card_person ON card (person);

CREATE TABLE credential (
    number        BIGINT NOT NULL PRIMARY KEY,
    serial        TEXT   NOT NULL REFERENCES card (serial) ON UPDATE CASCADE,
    ref           TEXT   NOT NULL,
    spki          TEXT   NOT NULL,
    certificate   TEXT   NOT NULL, -- PEM
    issuer        TEXT   NOT NULL,
    subject       TEXT   NOT NULL,
    serial_number TEXT   NOT NULL,
    not_after     BIGINT NOT NULL,
    revoked       TEXT   NOT NULL, -- the reason, or empty
    ended         BIGINT NOT NULL  -- another one has its place on the card
);
CREATE INDEX credential_serial ON credential (serial);
CREATE INDEX credential_not_after ON credential (not_after) WHERE ended = 0;

CREATE TABLE secret (
    number   BIGINT NOT NULL PRIMARY KEY,
    serial   TEXT   NOT NULL REFERENCES card (serial) ON UPDATE CASCADE,
    kind     TEXT   NOT NULL,
    keep     TEXT   NOT NULL,
    blob     TEXT   NOT NULL, -- an age file with armour, or empty
    known    BIGINT NOT NULL, -- the card is known to have it
    revealed BIGINT NOT NULL,
    printed  BIGINT NOT NULL,
    ended    BIGINT NOT NULL
);
CREATE INDEX secret_serial ON secret (serial);

-- The rows of plans.
CREATE TABLE job (
    plan        TEXT   NOT NULL,
    position    BIGINT NOT NULL,
    key         TEXT   NOT NULL,
    person_id   TEXT   NOT NULL,
    person_name TEXT   NOT NULL,
    serial      TEXT   NOT NULL, -- of the card that the row names, or empty
    card        TEXT   NOT NULL, -- serial of the card that has the row, or empty
    state       TEXT   NOT NULL CHECK (state IN ('free', 'begun', 'done')),
    why         TEXT   NOT NULL, -- what failed last
    attempts    BIGINT NOT NULL,
    lease       BIGINT NOT NULL, -- counts up: a write with an older number is refused
    holder      TEXT   NOT NULL,
    station     TEXT   NOT NULL,
    until       BIGINT NOT NULL,
    PRIMARY KEY (plan, position),
    UNIQUE (plan, key)
);
CREATE INDEX job_state ON job (plan, state, position);
CREATE UNIQUE INDEX job_card ON job (plan, card) WHERE card <> '';
CREATE INDEX job_serial ON job (plan, serial) WHERE serial <> '';
CREATE INDEX job_holder ON job (plan, holder) WHERE holder <> '';
CREATE INDEX job_person ON job (person_id);

-- +goose Down
DROP TABLE job;
DROP TABLE secret;
DROP TABLE credential;
DROP TABLE card;
DROP TABLE person;
DROP TABLE signature;
DROP TABLE event;
DROP TABLE about;
