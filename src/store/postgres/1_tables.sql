CREATE SEQUENCE jumeau_revisions;

CREATE TABLE jumeau_twins (
    tenant   text        NOT NULL,
    digest   bytea       NOT NULL,
    revision bigint      NOT NULL,
    payload  bytea       NOT NULL,
    touched  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, digest)
);

CREATE TABLE jumeau_log (
    log    text   NOT NULL,
    number bigint GENERATED ALWAYS AS IDENTITY,
    tenant text   NOT NULL,
    record text   NOT NULL,
    PRIMARY KEY (log, number)
);

-- Digests of issuer and id: whose they are cannot be told.
CREATE TABLE jumeau_tokens (
    id    bytea       PRIMARY KEY,
    until timestamptz NOT NULL
);
CREATE INDEX jumeau_tokens_until ON jumeau_tokens (until);

-- Forced, since the server is the owner of the tables.
ALTER TABLE jumeau_twins ENABLE ROW LEVEL SECURITY;
ALTER TABLE jumeau_twins FORCE ROW LEVEL SECURITY;
CREATE POLICY jumeau_tenant ON jumeau_twins
    USING (tenant = current_setting('jumeau.tenant', true) OR current_setting('jumeau.every_tenant', true) = 'on');

ALTER TABLE jumeau_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE jumeau_log FORCE ROW LEVEL SECURITY;
CREATE POLICY jumeau_tenant ON jumeau_log
    USING (tenant = current_setting('jumeau.tenant', true) OR current_setting('jumeau.every_tenant', true) = 'on');
