-- The certificate authority that the agents of this database trust. All replicas share it.
CREATE TABLE authority (
    one BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    sha256 BYTEA NOT NULL,
    since BIGINT NOT NULL
);
