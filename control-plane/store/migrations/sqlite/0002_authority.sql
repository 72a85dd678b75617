-- The certificate authority that the agents of this database trust. All replicas share it.
CREATE TABLE authority (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    sha256 BLOB NOT NULL,
    since INTEGER NOT NULL
) STRICT;
