-- The first schema. Ids are UUIDv7 (16 bytes), times are milliseconds since the Unix epoch, booleans are 0 and 1,
-- JSON is text. Every table carries the organization. The same tables stand in ../postgres.

-- missing_user_days: after how many days a user that no directory has any more becomes inactive; NULL: never.
-- Users name their organization by seq: it begins the keys of large indexes, and a small number is short and quick
-- to compare.
CREATE TABLE organizations (
    seq INTEGER NOT NULL PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL UNIQUE,
    joins_users INTEGER NOT NULL DEFAULT 1,
    created_at INTEGER NOT NULL,
    missing_user_days INTEGER DEFAULT 0,
    -- After how many days ended jobs are deleted with their reports; 0: never.
    job_retention_days INTEGER NOT NULL DEFAULT 90,
    -- After so many days entries of the audit log are deleted; 0: never.
    audit_retention_days INTEGER NOT NULL DEFAULT 730
) STRICT;

CREATE TABLE api_tokens (
    id BLOB NOT NULL PRIMARY KEY,
    organization_id BLOB NOT NULL REFERENCES organizations (id),
    name TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    role TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    last_used_at INTEGER,
    revoked_at INTEGER
) STRICT;
CREATE INDEX api_tokens_of_organization ON api_tokens (organization_id, id);

CREATE TABLE enrollment_tokens (
    id BLOB NOT NULL PRIMARY KEY,
    organization_id BLOB NOT NULL REFERENCES organizations (id),
    hash BLOB NOT NULL UNIQUE,
    directories TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at INTEGER,
    used_by BLOB,
    revoked_at INTEGER
) STRICT;
CREATE INDEX enrollment_tokens_of_organization ON enrollment_tokens (organization_id, id);

CREATE TABLE agents (
    id BLOB NOT NULL PRIMARY KEY,
    organization_id BLOB NOT NULL REFERENCES organizations (id),
    name TEXT NOT NULL,
    version TEXT,
    os TEXT,
    allowed_directories TEXT NOT NULL,
    takes_new_directories INTEGER NOT NULL,
    enrolled_at INTEGER NOT NULL,
    last_seen_at INTEGER,
    serial TEXT NOT NULL,
    not_after INTEGER NOT NULL,
    -- The certificate before the newest, valid until the newest is used.
    former_serial TEXT,
    -- When two machines were last seen using this identity.
    identity_shared_at INTEGER,
    -- Why its last session broke or was refused, and when.
    last_error TEXT,
    last_error_at INTEGER,
    -- The public key that passwords for its directories are sealed to.
    password_key BLOB,
    revoked_at INTEGER,
    UNIQUE (organization_id, id)
) STRICT;
CREATE INDEX agents_revoked ON agents (revoked_at) WHERE revoked_at IS NOT NULL;

-- What accounts live in: directories, later also applications. Accounts and members name their target by seq: their
-- indexes are the largest, and a small number is short.
CREATE TABLE targets (
    seq INTEGER NOT NULL PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    organization_id BLOB NOT NULL REFERENCES organizations (id),
    kind TEXT NOT NULL,
    UNIQUE (organization_id, id)
) STRICT;

-- A directory has the seq and the id of its target.
CREATE TABLE directories (
    seq INTEGER NOT NULL PRIMARY KEY REFERENCES targets (seq),
    id BLOB NOT NULL UNIQUE,
    organization_id BLOB NOT NULL REFERENCES organizations (id),
    name TEXT NOT NULL,
    display_name TEXT NOT NULL,
    flavour TEXT NOT NULL,
    disabled INTEGER NOT NULL DEFAULT 0,
    missing_threshold_percent INTEGER NOT NULL DEFAULT 10,
    missing_threshold_minimum INTEGER NOT NULL DEFAULT 10,
    thresholds TEXT NOT NULL DEFAULT '{}',
    member_form TEXT NOT NULL DEFAULT 'dn',
    source TEXT,
    -- Digests of the configuration that the last import read the directory by.
    users_digest TEXT,
    groups_digest TEXT,
    last_import_at INTEGER,
    -- The problem that the last import found.
    import_problem TEXT,
    -- Its place in the order of directories; the first has the smallest number.
    rank INTEGER NOT NULL,
    -- How a new account finds its user, as JSON. NULL: by its login.
    matching TEXT,
    created_at INTEGER NOT NULL,
    deleted_at INTEGER,
    UNIQUE (organization_id, name),
    UNIQUE (organization_id, id)
) STRICT;

CREATE TABLE agent_directories (
    organization_id BLOB NOT NULL,
    agent_id BLOB NOT NULL,
    directory_id BLOB NOT NULL,
    -- Why the agent cannot use the directory now.
    problem TEXT,
    -- Digests of the configuration that it reads the directory by.
    users_digest TEXT,
    groups_digest TEXT,
    PRIMARY KEY (agent_id, directory_id),
    FOREIGN KEY (organization_id, agent_id) REFERENCES agents (organization_id, id),
    FOREIGN KEY (organization_id, directory_id) REFERENCES directories (organization_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX agent_directories_of_directory ON agent_directories (directory_id);

-- The rules by which a directory's accounts become users and groups, version by version. The newest is the current one.
CREATE TABLE mapping_versions (
    organization_id BLOB NOT NULL,
    directory_id BLOB NOT NULL,
    -- 1: how accounts become users and groups; 2: what the directory gets of users and groups.
    direction INTEGER NOT NULL,
    version INTEGER NOT NULL,
    rules TEXT NOT NULL,
    -- The version whose rules it brought back.
    restored_from INTEGER,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (directory_id, direction, version),
    FOREIGN KEY (organization_id, directory_id) REFERENCES directories (organization_id, id)
) STRICT;

-- Mapping the accounts of a directory anew, after its rules have changed: how far it has come.
CREATE TABLE mapping_runs (
    organization_id BLOB NOT NULL,
    directory_id BLOB NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    -- As that of accounts: 1 a user, 2 a group.
    kind INTEGER NOT NULL,
    after_key BLOB NOT NULL,
    claimed_until INTEGER NOT NULL,
    done INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    -- Users and groups that were changed.
    changed INTEGER NOT NULL,
    -- Some of the failures.
    samples TEXT NOT NULL,
    -- When all accounts were mapped.
    finished_at INTEGER,
    FOREIGN KEY (organization_id, directory_id) REFERENCES directories (organization_id, id)
) STRICT;
CREATE INDEX mapping_runs_open ON mapping_runs (claimed_until) WHERE NOT done;

-- Mapping the users of several directories anew, after the order of the directories has changed: how far it has come.
-- settled: no import was under way, when it began, that had begun before the change. waits: for such imports to end.
CREATE TABLE order_runs (
    organization_id BLOB NOT NULL PRIMARY KEY REFERENCES organizations (id),
    revision INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    settled INTEGER NOT NULL,
    target INTEGER NOT NULL,
    after_key BLOB NOT NULL,
    claimed_until INTEGER NOT NULL,
    waits INTEGER NOT NULL,
    done INTEGER NOT NULL
) STRICT;
CREATE INDEX order_runs_open ON order_runs (claimed_until) WHERE NOT done;

-- The processes that serve this database, each with its last sign of life.
CREATE TABLE replicas (
    id BLOB NOT NULL PRIMARY KEY,
    seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The newest session of each connected agent, and the replica that holds it. A session is live while its replica is.
-- instance identifies the agent's process; replaced is a JSON array of the processes that newer ones replaced.
CREATE TABLE sessions (
    agent_id BLOB NOT NULL PRIMARY KEY,
    organization_id BLOB NOT NULL,
    replica_id BLOB NOT NULL,
    session_id BLOB NOT NULL,
    instance TEXT,
    replaced TEXT NOT NULL,
    connected_at INTEGER NOT NULL,
    FOREIGN KEY (organization_id, agent_id) REFERENCES agents (organization_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_of_replica ON sessions (replica_id);

CREATE TABLE jobs (
    id BLOB NOT NULL PRIMARY KEY,
    organization_id BLOB NOT NULL,
    kind TEXT NOT NULL,
    -- Only one such job of a directory is under way at a time.
    exclusive INTEGER NOT NULL DEFAULT 0,
    directory_id BLOB NOT NULL,
    state TEXT NOT NULL,
    input TEXT NOT NULL,
    progress TEXT,
    result TEXT,
    error TEXT,
    hold TEXT,
    message TEXT,
    created_by TEXT NOT NULL,
    decided_by TEXT,
    decision_reason TEXT,
    approved INTEGER NOT NULL DEFAULT 0,
    -- An administrator allowed it to read a server that is behind.
    accepts_behind INTEGER NOT NULL DEFAULT 0,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    attempt INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    proven INTEGER NOT NULL DEFAULT 0,
    -- How often it was claimed after a process had died with it, once proven.
    resumed INTEGER NOT NULL DEFAULT 0,
    owner BLOB,
    lease_until INTEGER,
    agent_id BLOB,
    agent_result TEXT,
    not_before INTEGER,
    deadline INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER,
    updated_at INTEGER NOT NULL,
    idempotency_key TEXT,
    FOREIGN KEY (organization_id, directory_id) REFERENCES directories (organization_id, id),
    FOREIGN KEY (organization_id, agent_id) REFERENCES agents (organization_id, id)
) STRICT;
CREATE INDEX jobs_of_organization ON jobs (organization_id, id);
CREATE INDEX jobs_of_directory ON jobs (directory_id, id);
CREATE INDEX jobs_open ON jobs (state, id) WHERE state IN ('queued', 'waiting', 'running', 'held');
CREATE INDEX jobs_ended ON jobs (organization_id, finished_at) WHERE finished_at IS NOT NULL;
CREATE UNIQUE INDEX jobs_by_idempotency_key ON jobs (organization_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
-- One exclusive job of a directory at a time. A held one counts as under way: another import would change what its
-- decision is about.
CREATE UNIQUE INDEX jobs_one_exclusive ON jobs (directory_id)
    WHERE exclusive AND (state IN ('running', 'held') OR (state = 'queued' AND proven));

-- Jobs that start by themselves. next_time is what the timing says; next_run_at is when a replica looks at it: jitter and the
-- job of the run before may make it later. Each run and each change adds one to revision, so that of several writers one wins.
CREATE TABLE schedules (
    id BLOB NOT NULL PRIMARY KEY,
    organization_id BLOB NOT NULL,
    name TEXT NOT NULL,
    directory_id BLOB NOT NULL,
    kind TEXT NOT NULL,
    input TEXT NOT NULL,
    timing TEXT NOT NULL,
    time_zone TEXT NOT NULL,
    jitter_seconds INTEGER NOT NULL,
    missed_runs TEXT NOT NULL,
    paused INTEGER NOT NULL,
    next_time INTEGER NOT NULL,
    next_run_at INTEGER NOT NULL,
    -- The last run: when, what came of it, why, and the job that it started or that was in its way.
    last_run_at INTEGER,
    last_outcome TEXT,
    last_detail TEXT,
    last_job_id BLOB,
    -- The last job that it started.
    started_job_id BLOB,
    revision INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    updated_by TEXT NOT NULL,
    UNIQUE (organization_id, name),
    FOREIGN KEY (organization_id, directory_id) REFERENCES directories (organization_id, id)
) STRICT;
CREATE INDEX schedules_of_organization ON schedules (organization_id, id);
CREATE INDEX schedules_due ON schedules (next_run_at) WHERE NOT paused;

CREATE TABLE staged_chunks (
    organization_id BLOB NOT NULL,
    job_id BLOB NOT NULL REFERENCES jobs (id),
    generation INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    users INTEGER NOT NULL,
    groups INTEGER NOT NULL,
    created INTEGER NOT NULL,
    created_groups INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    returned INTEGER NOT NULL,
    unknown_switches INTEGER NOT NULL,
    digest BLOB NOT NULL,
    keys BLOB NOT NULL,
    PRIMARY KEY (job_id, generation, sequence)
) STRICT;

-- Rules that failed on the entries of a chunk, or of a part of it that was kept aside (kinds).
CREATE TABLE rule_failures (
    organization_id BLOB NOT NULL,
    job_id BLOB NOT NULL REFERENCES jobs (id),
    generation INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    kinds INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    samples TEXT NOT NULL,
    PRIMARY KEY (job_id, generation, sequence, kinds)
) STRICT;

-- The result of a second, direct search for each account that an import did not bring.
CREATE TABLE absences (
    organization_id BLOB NOT NULL,
    job_id BLOB NOT NULL REFERENCES jobs (id),
    generation INTEGER NOT NULL,
    account_id BLOB NOT NULL,
    sight TEXT NOT NULL,
    PRIMARY KEY (job_id, generation, account_id)
) STRICT, WITHOUT ROWID;

-- Changed entries that wait until their import is proven, in the encoding of chunks: their changes may be a fault of the
-- directory, and then a threshold holds the import. kinds is a set of bits for what they change.
CREATE TABLE deferred_entries (
    organization_id BLOB NOT NULL,
    job_id BLOB NOT NULL REFERENCES jobs (id),
    generation INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    kinds INTEGER NOT NULL,
    entries INTEGER NOT NULL,
    counts TEXT NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (job_id, generation, sequence, kinds)
) STRICT;

-- What the preview of an import found: a row for each user and group that the import would touch.
CREATE TABLE preview_rows (
    organization_id BLOB NOT NULL,
    job_id BLOB NOT NULL REFERENCES jobs (id),
    seq INTEGER NOT NULL,
    -- What would happen, a set of bits.
    actions INTEGER NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (job_id, seq)
) STRICT, WITHOUT ROWID;

-- Accounts with an external id that two entries had in an import. They stay here until a later import brings the id
-- once, with the account's DN or login, or until an administrator approves the new entry.
CREATE TABLE shared_ids (
    target INTEGER NOT NULL,
    account_id BLOB NOT NULL,
    PRIMARY KEY (target, account_id)
) STRICT, WITHOUT ROWID;

-- The tables of an import have no foreign keys: checking them took more than half of PostgreSQL's time. Each transaction
-- looks up its directory and organization, which are never removed, and each group before it writes its members.

-- The columns that every import reads of every account come first; the attributes, which it does not read, last.
CREATE TABLE accounts (
    seq INTEGER NOT NULL PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    organization_id BLOB NOT NULL,
    target INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    external_key BLOB NOT NULL,
    hash BLOB NOT NULL,
    identity BLOB,
    missing_since INTEGER,
    on_until INTEGER,
    member_hash BLOB,
    missing_job BLOB,
    former_user BLOB,
    joined_at INTEGER,
    updated_at INTEGER NOT NULL,
    conflict TEXT,
    -- The entry does not say whether the user is enabled; on_until is what it said before.
    switch_hidden INTEGER NOT NULL DEFAULT 0,
    -- Provisioning made or adopted it: its user or group gets nothing from it.
    outbound INTEGER NOT NULL DEFAULT 0,
    -- Since when Postern treats the user of an outbound account as one who should have none any more.
    left_at INTEGER,
    -- The values that both ends had last, a JSON object; only of outbound accounts and of values that were sent.
    agreed TEXT,
    -- It is disabled because provisioning has disabled it; an import that finds it enabled forgets this.
    disabled_here INTEGER NOT NULL DEFAULT 0,
    dn TEXT NOT NULL,
    unique_value TEXT,
    attributes TEXT NOT NULL,
    UNIQUE (target, kind, external_key)
) STRICT;
-- missing_job is the import that marked it missing. former_user is the user that passed to a newer account of the same
-- person. joined_at is when it began to share its user with another directory, until an import has reported it.
-- member_hash is the hash of the name that groups use for the account: its DN or its unique value. on_until says
-- whether the account is enabled: NULL unknown, 0 no, the largest number yes, another number until that time.
CREATE INDEX accounts_by_member_hash ON accounts (target, member_hash) WHERE identity IS NOT NULL;
CREATE INDEX accounts_without_identity ON accounts (target, member_hash) WHERE identity IS NULL;
CREATE INDEX accounts_of_identity ON accounts (identity) WHERE identity IS NOT NULL;
-- The names of a directory's groups, to find them among the members of others.
CREATE INDEX accounts_of_groups ON accounts (kind, target, member_hash) WHERE kind = 2 AND identity IS NOT NULL;
CREATE INDEX accounts_missing ON accounts (target, kind, external_key) WHERE missing_since IS NOT NULL;
CREATE INDEX accounts_expiring ON accounts (on_until)
    WHERE on_until > 0 AND on_until < 9223372036854775807 AND identity IS NOT NULL;
CREATE INDEX accounts_missing_by_job ON accounts (missing_job, id) WHERE missing_job IS NOT NULL;
CREATE INDEX accounts_joined ON accounts (target, id) WHERE joined_at IS NOT NULL;
CREATE INDEX accounts_without_login ON accounts (target, id) WHERE kind = 1 AND unique_value IS NULL;
CREATE INDEX accounts_switch_hidden ON accounts (target, kind, external_key) WHERE switch_hidden;
CREATE INDEX accounts_in_conflict ON accounts (target, id) WHERE conflict IS NOT NULL;
-- The accounts that provisioning has made or adopted.
CREATE INDEX accounts_outbound ON accounts (target, identity) WHERE outbound;

CREATE TABLE users (
    seq INTEGER NOT NULL PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    organization INTEGER NOT NULL,
    name_key TEXT NOT NULL,
    display_key TEXT,
    email_key TEXT,
    user_name TEXT NOT NULL,
    given_name TEXT,
    family_name TEXT,
    display_name TEXT,
    email TEXT,
    active INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    missing_since INTEGER,
    attributes TEXT NOT NULL,
    -- The organization has made the user itself.
    is_own INTEGER NOT NULL DEFAULT 0,
    -- What the organization says of the user, a JSON object: it holds where no directory says something. NULL: nothing.
    own TEXT,
    -- An administrator has disabled the user, until when, and what the user was before.
    suspended_at INTEGER,
    suspended_by TEXT,
    suspended_reason TEXT,
    suspended_until INTEGER,
    active_before INTEGER,
    UNIQUE (organization, name_key)
) STRICT;
-- missing_since: since when no directory has the user any more.
CREATE INDEX users_suspended_until ON users (suspended_until) WHERE suspended_until IS NOT NULL;
CREATE INDEX users_missing ON users (organization, missing_since) WHERE missing_since IS NOT NULL;
-- Few users are inactive or missing. These indexes list only them.
CREATE INDEX users_inactive_by_name ON users (organization, name_key, seq) WHERE NOT active;
CREATE INDEX users_missing_by_name ON users (organization, name_key, seq) WHERE missing_since IS NOT NULL;
CREATE INDEX users_by_display_name ON users (organization, display_key, seq) WHERE display_key IS NOT NULL;
-- email_key is NULL if the address begins with the user name, which then finds it.
CREATE INDEX users_by_email ON users (organization, email_key, seq) WHERE email_key IS NOT NULL;
-- A search among these few uses the same three keys.
CREATE INDEX users_inactive_by_display_name ON users (organization, display_key, seq)
    WHERE NOT active AND display_key IS NOT NULL;
CREATE INDEX users_inactive_by_email ON users (organization, email_key, seq) WHERE NOT active AND email_key IS NOT NULL;
CREATE INDEX users_missing_by_display_name ON users (organization, display_key, seq)
    WHERE missing_since IS NOT NULL AND display_key IS NOT NULL;
CREATE INDEX users_missing_by_email ON users (organization, email_key, seq)
    WHERE missing_since IS NOT NULL AND email_key IS NOT NULL;
-- Users in the order of their last changes, and the few that the organization has made itself.
CREATE INDEX users_by_change ON users (organization, updated_at, seq);
CREATE INDEX users_own_by_name ON users (organization, name_key, seq) WHERE is_own;

CREATE TABLE groups (
    seq INTEGER NOT NULL PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    organization_id BLOB NOT NULL REFERENCES organizations (id),
    display_key TEXT NOT NULL,
    display_name TEXT NOT NULL,
    description TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    missing_since INTEGER
) STRICT;
CREATE INDEX groups_by_display_name ON groups (organization_id, display_key, seq);
CREATE INDEX groups_missing_by_name ON groups (organization_id, display_key, seq) WHERE missing_since IS NOT NULL;

-- The names that groups use for their members: a sorted JSON array in each row; a large group has many rows. The account
-- of a name is looked up on reading, by the hash of the name.
CREATE TABLE group_members (
    organization_id BLOB NOT NULL,
    target INTEGER NOT NULL,
    group_id BLOB NOT NULL,
    first_name TEXT NOT NULL,
    names TEXT NOT NULL,
    PRIMARY KEY (group_id, first_name)
) STRICT;

-- The reverse: which groups use a name. There is a row for each membership, so rows are short.
CREATE TABLE member_names (
    organization_id BLOB NOT NULL,
    target INTEGER NOT NULL,
    name_hash BLOB NOT NULL,
    group_id BLOB NOT NULL,
    PRIMARY KEY (target, name_hash, group_id)
) STRICT, WITHOUT ROWID;

-- Members that the organization has added, by the ids of users and groups. No import reads or writes them.
CREATE TABLE own_members (
    organization_id BLOB NOT NULL,
    group_id BLOB NOT NULL,
    member_id BLOB NOT NULL,
    -- As for accounts: 1 a user, 2 a group.
    kind INTEGER NOT NULL,
    added_at INTEGER NOT NULL,
    PRIMARY KEY (group_id, member_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX own_members_of_member ON own_members (member_id, group_id);
CREATE INDEX own_members_nested ON own_members (kind, group_id, member_id) WHERE kind = 2;

-- What is provisioned to a target. No row: nothing.
CREATE TABLE provisioning (
    target INTEGER NOT NULL PRIMARY KEY REFERENCES targets (seq),
    organization INTEGER NOT NULL,
    organization_id BLOB NOT NULL REFERENCES organizations (id),
    -- A JSON object: switches, who has an account, what becomes of those who have none any more.
    settings TEXT NOT NULL,
    paused INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    updated_by TEXT NOT NULL,
    -- The last user or group that was marked by a comparison of all. NULL: none is under way.
    sweep_after BLOB,
    -- The replica that provisions it, until when.
    owner BLOB,
    lease_until INTEGER
) STRICT;
CREATE INDEX provisioning_of_organization ON provisioning (organization);

-- Users and groups whose accounts in a target may have to change. Triggers set a mark with every change of them.
CREATE TABLE marks (
    organization_id BLOB NOT NULL,
    target INTEGER NOT NULL REFERENCES targets (seq),
    identity BLOB NOT NULL,
    -- 1 a user, 2 a group.
    kind INTEGER NOT NULL,
    -- How often it was set: clearing names this number, so that a later mark stays.
    times INTEGER NOT NULL,
    marked_at INTEGER NOT NULL,
    -- After failures: how many in a row, when it is tried again, and why.
    failures INTEGER NOT NULL DEFAULT 0,
    not_before INTEGER NOT NULL DEFAULT 0,
    problem TEXT,
    -- Of groups, who else may be concerned: 1 the groups above, because its members have changed; 2 its members, because it has
    -- joined or left a group.
    spread INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (target, identity)
) STRICT, WITHOUT ROWID;
CREATE INDEX marks_of_identity ON marks (identity);
CREATE INDEX marks_by_time ON marks (target, not_before, identity);
CREATE INDEX marks_failed ON marks (target, identity) WHERE failures > 0;

-- The names of the members that outbound groups have in their targets, as imports and operations have left them. In the
-- organization these groups have their own members.
CREATE TABLE outbound_members (
    account_id BLOB NOT NULL,
    name TEXT NOT NULL,
    -- Whether the group has this member by this name. Otherwise it may: the member was renamed meanwhile.
    sure INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (account_id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX outbound_members_by_name ON outbound_members (name);

-- Changes that somebody wants in a target and that are not there yet: a field of a user, or a member of a group, whose source
-- the target is. A refused one stays for a while, so that it can be read.
CREATE TABLE pending_changes (
    id BLOB NOT NULL PRIMARY KEY,
    organization_id BLOB NOT NULL,
    target INTEGER NOT NULL REFERENCES targets (seq),
    -- The user or group; 1 a user, 2 a group.
    identity BLOB NOT NULL,
    kind INTEGER NOT NULL,
    -- The field of the user, or the id of the member.
    what TEXT NOT NULL,
    -- The value as JSON; of a member whether it is to be one.
    wanted TEXT NOT NULL,
    asked_at INTEGER NOT NULL,
    asked_by TEXT NOT NULL,
    -- Why the target did not take it, and since when.
    refused TEXT,
    refused_at INTEGER,
    UNIQUE (identity, what)
) STRICT;
CREATE INDEX pending_changes_of_target ON pending_changes (target);
CREATE INDEX pending_changes_refused ON pending_changes (refused_at) WHERE refused_at IS NOT NULL;

-- Changes of objects in targets, one row each: what is wanted, and what became of it. They are the report, too.
CREATE TABLE operations (
    id BLOB NOT NULL PRIMARY KEY,
    organization_id BLOB NOT NULL,
    target INTEGER NOT NULL REFERENCES targets (seq),
    -- The user or group, and its name at the time.
    identity BLOB NOT NULL,
    kind INTEGER NOT NULL,
    name TEXT NOT NULL,
    account_id BLOB,
    -- The place among the operations of one comparison; they are carried out in this order.
    place INTEGER NOT NULL,
    action TEXT NOT NULL,
    -- What is sent. NULL once it is over.
    content TEXT,
    -- Before and after of each attribute, with secrets masked: a JSON object.
    changes TEXT NOT NULL,
    cause TEXT NOT NULL,
    actor TEXT,
    state TEXT NOT NULL,
    -- Counts the times it was sent.
    generation INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    sent_at INTEGER,
    ended_at INTEGER,
    elapsed_ms INTEGER,
    -- The answer: a JSON object.
    answer TEXT,
    -- Who has approved that it is sent, after a threshold or a plan had held it.
    approved_by TEXT,
    -- The plan that it comes from, and its place there.
    plan_id BLOB,
    plan_row INTEGER
) STRICT;
CREATE INDEX operations_open ON operations (target, identity, id) WHERE state IN ('waiting', 'sent');
-- What somebody has asked for and was not sent yet.
CREATE INDEX operations_asked ON operations (target, id) WHERE state = 'waiting' AND action IN ('set_password', 'unlock');
CREATE INDEX operations_passwords ON operations (created_at) WHERE state IN ('waiting', 'sent') AND action IN ('set_password', 'unlock');
-- The report: the latest first, by what it is narrowed to.
-- Of all; narrow, or SQLite would take it for a state or an action, too.
CREATE INDEX operations_of_organization ON operations (organization_id, created_at, id) WHERE kind >= 0;
CREATE INDEX operations_by_state ON operations (organization_id, state, created_at, id);
CREATE INDEX operations_by_action ON operations (organization_id, action, created_at, id);
CREATE INDEX operations_of_identity ON operations (identity, created_at, id);
CREATE INDEX operations_of_target ON operations (target, created_at, id);
CREATE INDEX operations_ended ON operations (ended_at, id) WHERE ended_at IS NOT NULL;
CREATE INDEX operations_held ON operations (target, identity, id) WHERE state = 'held';
CREATE INDEX operations_of_plan ON operations (plan_id, plan_row) WHERE plan_id IS NOT NULL;

-- Plans: what would be done in a target, shown before somebody applies it.
CREATE TABLE plans (
    id BLOB NOT NULL PRIMARY KEY,
    organization_id BLOB NOT NULL,
    target INTEGER NOT NULL REFERENCES targets (seq),
    state TEXT NOT NULL,
    -- Whom it is about, a JSON object.
    selection TEXT NOT NULL,
    -- The settings and rules that it was made under.
    stamp TEXT,
    -- What it has found, a JSON object.
    summary TEXT NOT NULL,
    problem TEXT,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    made_at INTEGER,
    expires_at INTEGER NOT NULL,
    -- When and by whom it was applied or discarded.
    decided_at INTEGER,
    decided_by TEXT,
    -- Until when a process makes it.
    claimed_until INTEGER NOT NULL
) STRICT;
CREATE INDEX plans_of_target ON plans (target, id);
CREATE INDEX plans_in_the_making ON plans (id) WHERE state = 'making';
CREATE INDEX plans_open ON plans (expires_at) WHERE state IN ('making', 'ready');
CREATE INDEX plans_ended ON plans (expires_at) WHERE state NOT IN ('making', 'ready');

-- The operations of plans.
CREATE TABLE plan_operations (
    organization_id BLOB NOT NULL,
    plan_id BLOB NOT NULL,
    seq INTEGER NOT NULL,
    identity BLOB NOT NULL,
    kind INTEGER NOT NULL,
    name TEXT NOT NULL,
    account_id BLOB,
    place INTEGER NOT NULL,
    action TEXT NOT NULL,
    -- What is sent. NULL once the plan was applied or is over.
    content TEXT,
    -- Before and after of each attribute, with secrets masked: a JSON object.
    changes TEXT NOT NULL,
    PRIMARY KEY (plan_id, seq)
) STRICT, WITHOUT ROWID;

-- Every change of a user, a group or its own members sets marks.
CREATE TRIGGER users_added AFTER INSERT ON users WHEN EXISTS (SELECT 1 FROM provisioning)
BEGIN
    INSERT INTO marks (organization_id, target, identity, kind, times, marked_at)
    SELECT p.organization_id, p.target, NEW.id, 1, 1, NEW.updated_at FROM provisioning p WHERE p.organization = NEW.organization
    ON CONFLICT (target, identity) DO UPDATE
    SET times = marks.times + 1, marked_at = excluded.marked_at, not_before = 0;
END;
CREATE TRIGGER users_changed AFTER UPDATE ON users WHEN EXISTS (SELECT 1 FROM provisioning)
BEGIN
    INSERT INTO marks (organization_id, target, identity, kind, times, marked_at)
    SELECT p.organization_id, p.target, NEW.id, 1, 1, NEW.updated_at FROM provisioning p WHERE p.organization = NEW.organization
    ON CONFLICT (target, identity) DO UPDATE
    SET times = marks.times + 1, marked_at = excluded.marked_at, not_before = 0;
END;
CREATE TRIGGER users_removed AFTER DELETE ON users WHEN EXISTS (SELECT 1 FROM provisioning)
BEGIN
    INSERT INTO marks (organization_id, target, identity, kind, times, marked_at)
    SELECT p.organization_id, p.target, OLD.id, 1, 1, OLD.updated_at FROM provisioning p WHERE p.organization = OLD.organization
    ON CONFLICT (target, identity) DO UPDATE
    SET times = marks.times + 1, marked_at = excluded.marked_at, not_before = 0;
END;
CREATE TRIGGER groups_added AFTER INSERT ON groups WHEN EXISTS (SELECT 1 FROM provisioning)
BEGIN
    INSERT INTO marks (organization_id, target, identity, kind, times, marked_at)
    SELECT p.organization_id, p.target, NEW.id, 2, 1, NEW.updated_at FROM provisioning p WHERE p.organization_id = NEW.organization_id
    ON CONFLICT (target, identity) DO UPDATE
    SET times = marks.times + 1, marked_at = excluded.marked_at, not_before = 0;
END;
CREATE TRIGGER groups_changed AFTER UPDATE ON groups WHEN EXISTS (SELECT 1 FROM provisioning)
BEGIN
    INSERT INTO marks (organization_id, target, identity, kind, times, marked_at)
    SELECT p.organization_id, p.target, NEW.id, 2, 1, NEW.updated_at FROM provisioning p WHERE p.organization_id = NEW.organization_id
    ON CONFLICT (target, identity) DO UPDATE
    SET times = marks.times + 1, marked_at = excluded.marked_at, not_before = 0;
END;
CREATE TRIGGER groups_removed AFTER DELETE ON groups WHEN EXISTS (SELECT 1 FROM provisioning)
BEGIN
    INSERT INTO marks (organization_id, target, identity, kind, times, marked_at)
    SELECT p.organization_id, p.target, OLD.id, 2, 1, OLD.updated_at FROM provisioning p WHERE p.organization_id = OLD.organization_id
    ON CONFLICT (target, identity) DO UPDATE
    SET times = marks.times + 1, marked_at = excluded.marked_at, not_before = 0;
END;
CREATE TRIGGER own_members_added AFTER INSERT ON own_members WHEN EXISTS (SELECT 1 FROM provisioning)
BEGIN
    INSERT INTO marks (organization_id, target, identity, kind, times, marked_at, spread)
    SELECT p.organization_id, p.target, NEW.member_id, NEW.kind, 1, 0, CASE NEW.kind WHEN 2 THEN 2 ELSE 0 END
    FROM provisioning p WHERE p.organization_id = NEW.organization_id
    ON CONFLICT (target, identity) DO UPDATE
    SET times = marks.times + 1, marked_at = excluded.marked_at, not_before = 0, spread = marks.spread | excluded.spread;
END;
CREATE TRIGGER own_members_group_added AFTER INSERT ON own_members WHEN EXISTS (SELECT 1 FROM provisioning)
BEGIN
    INSERT INTO marks (organization_id, target, identity, kind, times, marked_at, spread)
    SELECT p.organization_id, p.target, NEW.group_id, 2, 1, 0, 1 FROM provisioning p WHERE p.organization_id = NEW.organization_id
    ON CONFLICT (target, identity) DO UPDATE
    SET times = marks.times + 1, marked_at = excluded.marked_at, not_before = 0, spread = marks.spread | 1;
END;
CREATE TRIGGER own_members_removed AFTER DELETE ON own_members WHEN EXISTS (SELECT 1 FROM provisioning)
BEGIN
    INSERT INTO marks (organization_id, target, identity, kind, times, marked_at, spread)
    SELECT p.organization_id, p.target, OLD.member_id, OLD.kind, 1, 0, CASE OLD.kind WHEN 2 THEN 2 ELSE 0 END
    FROM provisioning p WHERE p.organization_id = OLD.organization_id
    ON CONFLICT (target, identity) DO UPDATE
    SET times = marks.times + 1, marked_at = excluded.marked_at, not_before = 0, spread = marks.spread | excluded.spread;
END;
CREATE TRIGGER own_members_group_removed AFTER DELETE ON own_members WHEN EXISTS (SELECT 1 FROM provisioning)
BEGIN
    INSERT INTO marks (organization_id, target, identity, kind, times, marked_at, spread)
    SELECT p.organization_id, p.target, OLD.group_id, 2, 1, 0, 1 FROM provisioning p WHERE p.organization_id = OLD.organization_id
    ON CONFLICT (target, identity) DO UPDATE
    SET times = marks.times + 1, marked_at = excluded.marked_at, not_before = 0, spread = marks.spread | 1;
END;
-- The members that directories name: who joins or leaves may get an account elsewhere, or lose it.
CREATE TRIGGER member_names_joined AFTER INSERT ON member_names WHEN EXISTS (SELECT 1 FROM provisioning)
BEGIN
    INSERT INTO marks (organization_id, target, identity, kind, times, marked_at, spread)
    SELECT p.organization_id, p.target, a.identity, a.kind, 1, 0, CASE a.kind WHEN 2 THEN 2 ELSE 0 END
    FROM provisioning p JOIN accounts a ON a.target = NEW.target AND a.member_hash = NEW.name_hash
    WHERE p.organization_id = NEW.organization_id AND a.identity IS NOT NULL
    ON CONFLICT (target, identity) DO UPDATE
    SET times = marks.times + 1, marked_at = excluded.marked_at, not_before = 0, spread = marks.spread | excluded.spread;
END;
CREATE TRIGGER member_names_group_joined AFTER INSERT ON member_names WHEN EXISTS (SELECT 1 FROM provisioning)
BEGIN
    INSERT INTO marks (organization_id, target, identity, kind, times, marked_at, spread)
    SELECT p.organization_id, p.target, NEW.group_id, 2, 1, 0, 1 FROM provisioning p WHERE p.organization_id = NEW.organization_id
    ON CONFLICT (target, identity) DO UPDATE
    SET times = marks.times + 1, marked_at = excluded.marked_at, not_before = 0, spread = marks.spread | 1;
END;
CREATE TRIGGER member_names_left AFTER DELETE ON member_names WHEN EXISTS (SELECT 1 FROM provisioning)
BEGIN
    INSERT INTO marks (organization_id, target, identity, kind, times, marked_at, spread)
    SELECT p.organization_id, p.target, a.identity, a.kind, 1, 0, CASE a.kind WHEN 2 THEN 2 ELSE 0 END
    FROM provisioning p JOIN accounts a ON a.target = OLD.target AND a.member_hash = OLD.name_hash
    WHERE p.organization_id = OLD.organization_id AND a.identity IS NOT NULL
    ON CONFLICT (target, identity) DO UPDATE
    SET times = marks.times + 1, marked_at = excluded.marked_at, not_before = 0, spread = marks.spread | excluded.spread;
END;
CREATE TRIGGER member_names_group_left AFTER DELETE ON member_names WHEN EXISTS (SELECT 1 FROM provisioning)
BEGIN
    INSERT INTO marks (organization_id, target, identity, kind, times, marked_at, spread)
    SELECT p.organization_id, p.target, OLD.group_id, 2, 1, 0, 1 FROM provisioning p WHERE p.organization_id = OLD.organization_id
    ON CONFLICT (target, identity) DO UPDATE
    SET times = marks.times + 1, marked_at = excluded.marked_at, not_before = 0, spread = marks.spread | 1;
END;
-- Outbound accounts that an import has changed: both ends are compared again.
CREATE TRIGGER accounts_changed AFTER UPDATE ON accounts WHEN NEW.outbound AND NEW.identity IS NOT NULL
BEGIN
    INSERT INTO marks (organization_id, target, identity, kind, times, marked_at)
    SELECT p.organization_id, p.target, NEW.identity, NEW.kind, 1, NEW.updated_at FROM provisioning p WHERE p.target = NEW.target
    ON CONFLICT (target, identity) DO UPDATE
    SET times = marks.times + 1, marked_at = excluded.marked_at, not_before = 0;
END;

-- Answers to requests that carried an idempotency key; kept for a day.
CREATE TABLE answers (
    organization_id BLOB NOT NULL REFERENCES organizations (id),
    key BLOB NOT NULL,
    request BLOB NOT NULL,
    claimed_at INTEGER NOT NULL,
    status INTEGER,
    body BLOB,
    PRIMARY KEY (organization_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX answers_by_age ON answers (claimed_at);

-- Users that were deleted, with what is needed to restore them. They are kept for a while.
CREATE TABLE deleted_users (
    organization_id BLOB NOT NULL REFERENCES organizations (id),
    id BLOB NOT NULL,
    user_name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    -- An administrator had disabled the user.
    is_suspended INTEGER NOT NULL,
    -- The user and the groups that the organization had put the user into, as JSON.
    content TEXT NOT NULL,
    deleted_at INTEGER NOT NULL,
    deleted_by TEXT NOT NULL,
    PRIMARY KEY (organization_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX deleted_users_by_age ON deleted_users (deleted_at);
CREATE INDEX deleted_users_by_name ON deleted_users (organization_id, user_name);
CREATE INDEX deleted_users_suspended ON deleted_users (organization_id, name_key) WHERE is_suspended;

-- Attributes that the organization has defined for its users.
CREATE TABLE attribute_definitions (
    organization_id BLOB NOT NULL REFERENCES organizations (id),
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    required INTEGER NOT NULL,
    is_unique INTEGER NOT NULL,
    sensitive INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (organization_id, name)
) STRICT, WITHOUT ROWID;

-- The values of unique attributes, folded, each with the user that has it.
CREATE TABLE unique_values (
    organization_id BLOB NOT NULL,
    name TEXT NOT NULL,
    value_key TEXT NOT NULL,
    user_id BLOB NOT NULL,
    PRIMARY KEY (organization_id, name, value_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX unique_values_of_user ON unique_values (user_id);

-- Fields whose values matching rules compare. kept_to: the values of users up to this seq are kept; NULL: of all.
CREATE TABLE match_fields (
    organization_id BLOB NOT NULL REFERENCES organizations (id),
    field TEXT NOT NULL,
    kept_to INTEGER,
    PRIMARY KEY (organization_id, field)
) STRICT, WITHOUT ROWID;

-- These values, folded, with the users that have them.
CREATE TABLE match_keys (
    organization_id BLOB NOT NULL,
    field TEXT NOT NULL,
    value_key TEXT NOT NULL,
    user_id BLOB NOT NULL,
    PRIMARY KEY (organization_id, field, value_key, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX match_keys_of_user ON match_keys (user_id);

-- Waiting accounts with the one user that they match: two accounts of a directory that match one user wait for an
-- administrator.
CREATE TABLE account_matches (
    target INTEGER NOT NULL,
    account_id BLOB NOT NULL,
    user_id BLOB NOT NULL,
    PRIMARY KEY (account_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX account_matches_of_user ON account_matches (user_id);

-- Accounts that an administrator wants to stay without a user, with the folded user name that they claimed.
CREATE TABLE ignored_accounts (
    organization_id BLOB NOT NULL,
    target INTEGER NOT NULL,
    account_id BLOB NOT NULL,
    name_key TEXT NOT NULL,
    ignored_at INTEGER NOT NULL,
    ignored_by TEXT NOT NULL,
    PRIMARY KEY (account_id)
) STRICT, WITHOUT ROWID;

-- Users that were merged into others. Their ids stay known.
CREATE TABLE merged_users (
    organization_id BLOB NOT NULL REFERENCES organizations (id),
    id BLOB NOT NULL,
    user_name TEXT NOT NULL,
    into_id BLOB NOT NULL,
    merged_at INTEGER NOT NULL,
    merged_by TEXT NOT NULL,
    PRIMARY KEY (organization_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX merged_users_of_user ON merged_users (into_id);

-- Groups that were deleted, and the memberships that the organization had added, for a while.
CREATE TABLE deleted_groups (
    organization_id BLOB NOT NULL REFERENCES organizations (id),
    id BLOB NOT NULL,
    display_name TEXT NOT NULL,
    description TEXT,
    created_at INTEGER NOT NULL,
    deleted_at INTEGER NOT NULL,
    deleted_by TEXT NOT NULL,
    PRIMARY KEY (organization_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX deleted_groups_by_age ON deleted_groups (deleted_at);

-- Memberships of deleted groups: their members, and the groups that they were members of.
CREATE TABLE deleted_members (
    organization_id BLOB NOT NULL,
    deleted_id BLOB NOT NULL,
    group_id BLOB NOT NULL,
    member_id BLOB NOT NULL,
    kind INTEGER NOT NULL,
    added_at INTEGER NOT NULL,
    PRIMARY KEY (deleted_id, group_id, member_id)
) STRICT, WITHOUT ROWID;

-- Who changed what. Each entry has a hash over itself and the hash of the entry before it.
CREATE TABLE audit (
    organization_id BLOB NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    actor_name TEXT NOT NULL,
    address TEXT,
    action TEXT NOT NULL,
    object_id BLOB,
    object TEXT NOT NULL,
    before TEXT,
    after TEXT,
    hash BLOB NOT NULL,
    PRIMARY KEY (organization_id, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_of_object ON audit (organization_id, object_id, seq) WHERE object_id IS NOT NULL;

-- Where each log ends, and its last entry that is no longer kept.
CREATE TABLE audit_heads (
    organization_id BLOB NOT NULL PRIMARY KEY REFERENCES organizations (id),
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    anchor_seq INTEGER NOT NULL,
    anchor_hash BLOB NOT NULL
) STRICT, WITHOUT ROWID;
