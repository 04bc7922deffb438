-- ngx_media: files that come from browsers, and messages that go out.

-- when the customer last wrote, by the provider's clock: the Cloud API takes
-- anything but templates for 24 hours after it
ALTER TABLE media.conversations
    ADD COLUMN last_customer_message_at timestamptz;

UPDATE media.conversations c SET last_customer_message_at = least(now(),
    (SELECT max(sent_at) FROM media.messages m
      WHERE m.conversation_id = c.id AND m.direction = 'incoming'
        AND m.type NOT IN ('edit', 'revoke', 'system')));

-- api_version: of Evolution; '' is v2
ALTER TABLE media.instances
    ADD COLUMN api_version text NOT NULL DEFAULT ''
        CHECK (api_version IN ('', 'v1', 'v2'));

-- Each presigned upload that was ever issued, whether or not anything came of
-- it: the reaper goes by these rows.  id is the attachment's.  Tenant and
-- conversation are what the token says, and may not exist.
CREATE TABLE media.uploads (
    id               uuid PRIMARY KEY,
    tenant_id        text NOT NULL,
    conversation_id  text NOT NULL,
    upload_key       varchar(500) NOT NULL,     -- in the quarantine
    file_key         varchar(500) NOT NULL,     -- where it goes to
    multipart_id     text NOT NULL DEFAULT '',  -- S3's UploadId
    claims           jsonb NOT NULL,            -- of the upload token
    state            text NOT NULL DEFAULT 'issued' CHECK (state IN
                         ('issued',             -- a URL was given out
                          'uploaded',           -- complete, is being processed
                          'finished',           -- the attachment owns file_key
                          'failed',
                          'abandoned')),
    etag             text NOT NULL DEFAULT '',  -- of what was completed
    expires_at       timestamptz NOT NULL,      -- of the presigned URLs
    reaped_at        timestamptz,               -- upload_key can hold nothing
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX uploads_unreaped ON media.uploads (expires_at)
    WHERE reaped_at IS NULL;

-- The ledger of sends.  A message row is made with the send, under the
-- provider id 'send:{id}' until the provider gives it one.
CREATE TABLE media.sends (
    id               uuid PRIMARY KEY,
    seq              bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id        text NOT NULL REFERENCES media.tenants ON DELETE CASCADE,
    instance_id      bigint NOT NULL REFERENCES media.instances
                         ON DELETE CASCADE,
    conversation_id  bigint NOT NULL REFERENCES media.conversations
                         ON DELETE CASCADE,
    message_id       bigint REFERENCES media.messages ON DELETE SET NULL,
    attachment_id    uuid REFERENCES media.message_attachments
                         ON DELETE SET NULL,
    idempotency_key  text NOT NULL CHECK (idempotency_key <> ''),
    kind             text NOT NULL CHECK (kind IN ('text', 'image', 'audio',
                         'voice', 'video', 'document', 'sticker',
                         'location')),
    body             jsonb NOT NULL DEFAULT '{}',   -- messages.md
    ready            boolean NOT NULL DEFAULT true, -- false: its attachment is
                                                    -- being processed
    state            text NOT NULL DEFAULT 'queued' CHECK (state IN
                         ('queued',         -- not written to the provider
                          'sending',        -- may have been written
                          'accepted',       -- the provider has it
                          'sent', 'delivered', 'read',  -- as webhooks say
                          'failed',         -- it was not sent, and will not be
                          'unknown')),      -- nobody can tell; not repeated
    attempts         integer NOT NULL DEFAULT 0,
    next_at          timestamptz NOT NULL DEFAULT now(),    -- of an attempt,
                                                    -- or of a look-up
    provider_id      text NOT NULL DEFAULT '',
    error_code       text NOT NULL DEFAULT '',      -- the provider's, or ours
    error_message    text NOT NULL DEFAULT '',      -- for a support agent
    pricing          text NOT NULL DEFAULT '',      -- category, as told
    sending_at       timestamptz,
    writer           text NOT NULL DEFAULT '',      -- host and process
    accepted_at      timestamptz,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, idempotency_key)
);

CREATE INDEX sends_open ON media.sends (conversation_id, seq)
    WHERE state IN ('queued', 'sending');
CREATE INDEX sends_unknown ON media.sends (conversation_id)
    WHERE state = 'unknown';
CREATE INDEX sends_look_up ON media.sends (next_at)
    WHERE state = 'unknown';
CREATE INDEX sends_provider_id ON media.sends (instance_id, provider_id)
    WHERE provider_id <> '';
CREATE INDEX sends_message ON media.sends (message_id);
CREATE INDEX sends_attachment ON media.sends (attachment_id);

-- statuses may come in any order here, too: the highest rank stays
CREATE FUNCTION media.send_rank(state text) RETURNS integer
    LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_position(ARRAY['accepted', 'sent', 'delivered',
        'read', 'failed'], state), 0)
$$;

-- what a message's status says of its send; NULL: nothing
CREATE FUNCTION media.send_state(status text) RETURNS text
    LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE status WHEN 'pending' THEN 'accepted' WHEN 'played' THEN 'read'
        WHEN 'sent' THEN status WHEN 'delivered' THEN status
        WHEN 'read' THEN status WHEN 'failed' THEN status END
$$;

-- a message as the events new_message and message_sent tell it
CREATE FUNCTION media.message_json(m media.messages) RETURNS jsonb
    LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('message_id', m.id, 'provider_id',
        m.provider_id, 'conversation_id', m.conversation_id, 'instance_id',
        m.instance_id, 'direction', m.direction, 'message_type', m.type,
        'sender', m.sender, 'sender_name', m.sender_name, 'content',
        m.content, 'reply_to', m.reply_to, 'status', m.status, 'sent_at',
        extract(epoch FROM m.sent_at))
$$;

-- Pacing by the generic cell rate algorithm: the time when a number (chat '')
-- or a pair of number and chat has used up what it may send.
CREATE TABLE media.send_paces (
    instance_id  bigint NOT NULL REFERENCES media.instances ON DELETE CASCADE,
    chat         text NOT NULL,
    used_until   timestamptz NOT NULL,
    refusals     integer NOT NULL DEFAULT 0,    -- of the provider, in a row
    PRIMARY KEY (instance_id, chat)
);

-- the circuit breaker of a number; no row: closed
CREATE TABLE media.send_breakers (
    instance_id  bigint PRIMARY KEY REFERENCES media.instances
                     ON DELETE CASCADE,
    failures     integer NOT NULL DEFAULT 0,    -- in a row
    open_until   timestamptz,                   -- then one send is let through
    reason       text NOT NULL DEFAULT '',
    updated_at   timestamptz NOT NULL DEFAULT now()
);

-- files that the Cloud API keeps for 30 days
CREATE TABLE media.provider_media (
    instance_id  bigint NOT NULL REFERENCES media.instances ON DELETE CASCADE,
    object_key   text NOT NULL,
    media_id     text NOT NULL,
    expires_at   timestamptz NOT NULL,
    PRIMARY KEY (instance_id, object_key)
);
