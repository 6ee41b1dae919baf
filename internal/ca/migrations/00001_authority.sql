-- +goose Up
-- The certificates of the CA; the last one signs.
CREATE TABLE authorities (
    id     INTEGER PRIMARY KEY,
    der    BLOB    NOT NULL,
    key    TEXT    NOT NULL, -- reference of the key; empty for the file of the directory
    holder TEXT    NOT NULL, -- serial of the card with the key
    pss    INTEGER NOT NULL,
    crl    TEXT    NOT NULL, -- addresses, one a line
    ocsp   TEXT    NOT NULL,
    issuer TEXT    NOT NULL
) STRICT;

CREATE TABLE certificates (
    serial     TEXT    PRIMARY KEY, -- upper-case hex in whole bytes
    authority  INTEGER NOT NULL REFERENCES authorities (id),
    der        BLOB    NOT NULL,
    subject    TEXT    NOT NULL, -- RFC 4514
    name       TEXT    NOT NULL, -- the subject as it is compared
    public_key TEXT    NOT NULL, -- SHA-256 of the SubjectPublicKeyInfo
    not_after  INTEGER NOT NULL, -- seconds since 1970, as all times
    issued     INTEGER NOT NULL,
    profile    TEXT    NOT NULL,
    revoked    INTEGER,
    reason     INTEGER           -- CRLReason, RFC 5280, 5.3.1
) STRICT;
CREATE INDEX certificates_name ON certificates (name);
CREATE INDEX certificates_public_key ON certificates (public_key);
CREATE INDEX certificates_revoked ON certificates (revoked) WHERE revoked IS NOT NULL;

CREATE TABLE crls (
    number      INTEGER PRIMARY KEY,
    authority   INTEGER NOT NULL REFERENCES authorities (id),
    this_update INTEGER NOT NULL,
    next_update INTEGER NOT NULL
) STRICT;

-- +goose Down
DROP TABLE crls;
DROP TABLE certificates;
DROP TABLE authorities;
