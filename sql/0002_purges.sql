-- Purged objects: the truth behind the log in Redis, which may be lost.

CREATE SEQUENCE media.purge_ids;

-- target: an object key, or a prefix of keys that ends in '/'.  A target that
-- is purged again gets a new id.
CREATE TABLE media.purges (
    target      text PRIMARY KEY CHECK (target <> ''),
    id          bigint NOT NULL UNIQUE DEFAULT nextval('media.purge_ids'),
    published   boolean NOT NULL DEFAULT false,     -- in the log in Redis
    created_at  timestamptz NOT NULL DEFAULT now()
);

ALTER SEQUENCE media.purge_ids OWNED BY media.purges.id;

CREATE INDEX purges_unpublished ON media.purges (id) WHERE NOT published;
CREATE INDEX purges_created ON media.purges (created_at)
    WHERE target NOT LIKE 'profile\_pics/%';
