-- ngx_media: tenants, instances, contacts, conversations, messages, media.
-- Applied by media-worker --migrate in one transaction.

CREATE TABLE media.tenants (
    id          text PRIMARY KEY CHECK (id ~ '^[A-Za-z0-9_-]{1,64}$'),
    name        text NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- name: the Evolution instance name, W-API instanceId, or the Cloud API
-- phone_number_id, as webhooks carry it
CREATE TABLE media.instances (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id   text NOT NULL REFERENCES media.tenants ON DELETE CASCADE,
    provider    text NOT NULL CHECK (provider IN
                    ('evolution', 'wapi', 'cloudapi')),
    name        text NOT NULL CHECK (name <> ''),
    base_url    text NOT NULL,
    token       text NOT NULL DEFAULT '',
    enabled     boolean NOT NULL DEFAULT true,
    connection  text NOT NULL DEFAULT '',       -- open, close ... as told
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (provider, name)
);

CREATE TABLE media.contacts (
    id                      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id               text NOT NULL REFERENCES media.tenants
                                ON DELETE CASCADE,
    address                 text NOT NULL,      -- canonical, see messages.md
    name                    text NOT NULL DEFAULT '',
    profile_pic_url         varchar(500) NOT NULL DEFAULT '',
    profile_pic_updated_at  timestamptz,
    profile_pic_source      text NOT NULL DEFAULT '',   -- without query
    created_at              timestamptz NOT NULL DEFAULT now(),
    updated_at              timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, address)
);

CREATE TABLE media.conversations (
    id                      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id               text NOT NULL REFERENCES media.tenants
                                ON DELETE CASCADE,
    instance_id             bigint NOT NULL REFERENCES media.instances
                                ON DELETE CASCADE,
    contact_id              bigint REFERENCES media.contacts
                                ON DELETE SET NULL,
    chat                    text NOT NULL,
    is_group                boolean NOT NULL DEFAULT false,
    profile_pic_url         varchar(500) NOT NULL DEFAULT '',
    profile_pic_updated_at  timestamptz,
    last_message_at         timestamptz,
    created_at              timestamptz NOT NULL DEFAULT now(),
    updated_at              timestamptz NOT NULL DEFAULT now(),
    UNIQUE (instance_id, chat)
);

-- the other address of a person's chat (LID, business-scoped user id), so
-- that a message which names only that one finds the conversation
CREATE TABLE media.chat_aliases (
    tenant_id   text NOT NULL REFERENCES media.tenants ON DELETE CASCADE,
    alias       text NOT NULL,
    address     text NOT NULL,
    PRIMARY KEY (tenant_id, alias)
);

CREATE TABLE media.messages (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id        text NOT NULL REFERENCES media.tenants ON DELETE CASCADE,
    instance_id      bigint NOT NULL REFERENCES media.instances
                         ON DELETE CASCADE,
    conversation_id  bigint NOT NULL REFERENCES media.conversations
                         ON DELETE CASCADE,
    provider_id      text NOT NULL,     -- the provider's message id
    direction        text NOT NULL CHECK (direction IN
                         ('incoming', 'outgoing')),
    sender           text NOT NULL DEFAULT '',
    sender_name      text NOT NULL DEFAULT '',
    type             text NOT NULL,
    content          text NOT NULL DEFAULT '',
    reply_to         text NOT NULL DEFAULT '',
    status           text NOT NULL DEFAULT '',
    status_at        timestamptz,
    error_message    text NOT NULL DEFAULT '',
    metadata         jsonb NOT NULL DEFAULT '{}',
    sent_at          timestamptz,       -- the provider's timestamp
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    UNIQUE (instance_id, provider_id)
);

CREATE INDEX messages_conversation ON media.messages
    (conversation_id, created_at);

-- a status that came before its message (they may overtake each other)
CREATE TABLE media.early_statuses (
    instance_id  bigint NOT NULL REFERENCES media.instances
                     ON DELETE CASCADE,
    provider_id  text NOT NULL,
    status       text NOT NULL,
    status_at    timestamptz,
    error_message  text NOT NULL DEFAULT '',
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (instance_id, provider_id)
);

-- statuses may come in any order: the highest rank is the one that stays
CREATE FUNCTION media.status_rank(status text) RETURNS integer
    LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_position(ARRAY['pending', 'sent', 'delivered',
        'read', 'played', 'failed', 'deleted'], status), 0)
$$;

-- source: what the download needs, as JSON: provider, message key, mediaKey,
-- hashes, directPath, url, media id, webhook body reference (worker.md)
CREATE TABLE media.message_attachments (
    id               uuid PRIMARY KEY,
    tenant_id        text NOT NULL REFERENCES media.tenants ON DELETE CASCADE,
    message_id       bigint REFERENCES media.messages ON DELETE CASCADE,
    conversation_id  bigint NOT NULL REFERENCES media.conversations
                         ON DELETE CASCADE,
    category         text NOT NULL CHECK (category IN
                         ('image', 'video', 'audio', 'document', 'sticker')),
    status           text NOT NULL DEFAULT 'pending' CHECK (status IN
                         ('pending', 'processing', 'completed', 'failed')),
    file_url         varchar(500) NOT NULL DEFAULT '',
    file_name        varchar(255) NOT NULL DEFAULT '',
    file_type        varchar(100) NOT NULL DEFAULT '',
    size_bytes       bigint NOT NULL DEFAULT 0,
    sha256           bytea,
    thumbnail_url    varchar(500) NOT NULL DEFAULT '',
    storage_type     text NOT NULL DEFAULT 's3',
    storage_key      varchar(500) NOT NULL DEFAULT '',
    preview          bytea,             -- the message's jpegThumbnail
    source           jsonb NOT NULL DEFAULT '{}',
    metadata         jsonb NOT NULL DEFAULT '{}',
    error_message    text NOT NULL DEFAULT '',
    attempts         integer NOT NULL DEFAULT 0,
    lease_until      timestamptz,       -- while a child works on it
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    UNIQUE (message_id)
);

CREATE INDEX message_attachments_tenant_status ON media.message_attachments
    (tenant_id, status);
CREATE INDEX message_attachments_conversation ON media.message_attachments
    (conversation_id, created_at);
CREATE INDEX message_attachments_file_type ON media.message_attachments
    (file_type);
CREATE INDEX message_attachments_unfinished ON media.message_attachments
    (updated_at) WHERE status IN ('pending', 'processing');
CREATE INDEX message_attachments_body ON media.message_attachments
    ((source->>'body_key')) WHERE source ? 'body_key';

-- the outbox: written in the transaction of what it tells, published after it
CREATE TABLE media.events (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id        text NOT NULL REFERENCES media.tenants ON DELETE CASCADE,
    conversation_id  bigint,
    type             text NOT NULL,
    payload          jsonb NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT now(),
    published_at     timestamptz
);

CREATE INDEX events_unpublished ON media.events (id)
    WHERE published_at IS NULL;

-- webhooks of an instance that nobody has added yet, or of no known shape
CREATE TABLE media.unrouted_webhooks (
    id           text NOT NULL,         -- request id from nginx
    provider     text NOT NULL,
    instance     text NOT NULL DEFAULT '',
    reason       text NOT NULL,
    headers      jsonb NOT NULL DEFAULT '{}',
    body         bytea NOT NULL,        -- empty if it is in S3 (body_key)
    received_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, instance)
);

CREATE INDEX unrouted_webhooks_instance ON media.unrouted_webhooks
    (provider, instance);
CREATE INDEX unrouted_webhooks_body ON media.unrouted_webhooks
    ((headers->>'body_key')) WHERE headers ? 'body_key';

-- every hop of a message, for mediactl trace
CREATE TABLE media.hops (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    attachment_id  uuid,
    instance_id    bigint,
    provider_id    text NOT NULL DEFAULT '',
    stage          text NOT NULL,
    outcome        text NOT NULL,
    detail         text NOT NULL DEFAULT '',
    duration_ms    integer,
    at             timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX hops_attachment ON media.hops (attachment_id, id);
CREATE INDEX hops_message ON media.hops (instance_id, provider_id, id);
CREATE INDEX hops_provider_id ON media.hops (provider_id);
