/*
 * Copyright (C) ngx_media contributors
 *
 * The items of a webhook that are no messages: statuses, edits, contacts and
 * their pictures, the state of an instance's connection.
 */

#define _GNU_SOURCE
#include <stdlib.h>

#include "inbound.h"
#include "send.h"


static int inbound_send_status(inbound_t *in,
    const media_webhook_item_t *item, const char *const *params);
static int inbound_status_early(inbound_t *in, const char *const *params);
static int inbound_learn_alias(inbound_t *in, const char *alias,
    const char *chat);


static const char  inbound_status_sql[] =
    "UPDATE media.messages SET status = $3, updated_at = now(),"
    "       status_at = coalesce(to_timestamp($4::double precision), now()),"
    "       error_message = $5"
    " WHERE instance_id = $1::bigint AND provider_id = $2"
    "   AND media.status_rank($3) > media.status_rank(status)"
    " RETURNING conversation_id, jsonb_build_object('message_id', id,"
    "       'provider_id', provider_id, 'status', status,"
    "       'error_message', error_message)::text";

static const char  inbound_early_sql[] =
    "INSERT INTO media.early_statuses (instance_id, provider_id, status,"
    "       status_at, error_message)"
    " SELECT $1::bigint, $2, $3, coalesce(to_timestamp("
    "        $4::double precision), now()), $5"
    "  WHERE NOT EXISTS (SELECT 1 FROM media.messages"
    "        WHERE instance_id = $1::bigint AND provider_id = $2)"
    " ON CONFLICT (instance_id, provider_id) DO UPDATE"
    "    SET status = excluded.status, status_at = excluded.status_at,"
    "        error_message = excluded.error_message"
    "  WHERE media.status_rank(excluded.status)"
    "        > media.status_rank(early_statuses.status)";

static const char  inbound_contact_sql[] =
    "WITH new AS (INSERT INTO media.contacts (tenant_id, address, name)"
    "     VALUES ($1, $2, $3)"
    "     ON CONFLICT (tenant_id, address) DO UPDATE"
    "     SET name = excluded.name, updated_at = now()"
    "     WHERE excluded.name <> '' AND contacts.name <> excluded.name"
    "     RETURNING id)"
    " SELECT id FROM new UNION ALL SELECT id FROM media.contacts"
    "  WHERE tenant_id = $1 AND address = $2 LIMIT 1";

static const char  inbound_picture_sql[] =
    "UPDATE media.contacts SET profile_pic_source = split_part($3, '?', 1)"
    " WHERE tenant_id = $1 AND address = $2"
    "   AND (profile_pic_source <> split_part($3, '?', 1) OR $5::boolean)"
    " RETURNING jsonb_build_object('tenant_id', tenant_id, 'instance_id',"
    "       $4::text, 'phone', address, 'url', $3::text)::text";

static const char  inbound_alias_sql[] =
    "WITH a AS (INSERT INTO media.chat_aliases (tenant_id, alias, address)"
    "     VALUES ($1, $2, $3) ON CONFLICT (tenant_id, alias) DO UPDATE"
    "     SET address = excluded.address"
    "     WHERE chat_aliases.address <> excluded.address)"
    " UPDATE media.conversations SET chat = $3, contact_id = NULL"
    "  WHERE instance_id = $4::bigint AND chat = $2"
    "    AND NOT EXISTS (SELECT 1 FROM media.conversations"
    "        WHERE instance_id = $4::bigint AND chat = $3)";

static const char  inbound_edit_sql[] =
    "UPDATE media.messages SET content = $3, updated_at = now(),"
    "       metadata = metadata || jsonb_build_object('edited_at',"
    "                                                 $4::bigint)"
    " WHERE instance_id = $1::bigint AND provider_id = $2"
    "   AND coalesce((metadata->>'edited_at')::bigint, -1)"
    "       < coalesce($4::bigint, 0)"
    " RETURNING conversation_id, jsonb_build_object('message_id', id,"
    "       'provider_id', provider_id, 'content', content, 'edited_at',"
    "       $4::bigint)::text";


/* a status of a message that is not there yet waits for it */

int
inbound_status(inbound_t *in, const media_webhook_item_t *item,
    media_str_t message_id, media_status_t status)
{
    int          rc;
    char         error[512];
    PGresult    *res;
    const char  *params[5];

    if (status == MEDIA_STATUS_NONE || message_id.len == 0) {
        return 0;
    }

    error[0] = '\0';

    if (status == MEDIA_STATUS_FAILED) {
        snprintf(error, sizeof(error), "%s%s%s",
                 inbound_text(in, item->error_code),
                 item->error_code.len && item->error_text.len ? ": " : "",
                 inbound_text(in, item->error_text));
    }

    params[0] = in->instance;
    params[1] = inbound_text(in, message_id);
    params[2] = media_status_name(status);
    params[3] = inbound_number(in, item->timestamp);
    params[4] = inbound_text(in, (media_str_t) { strlen(error), error });

    if (inbound_send_status(in, item, params) != 0) {
        return -1;
    }

    res = db_exec(in->child, inbound_status_sql, 5, params);
    if (res == NULL) {
        return -1;
    }

    if (PQntuples(res) == 0) {
        PQclear(res);
        return inbound_status_early(in, params);
    }

    rc = event_add(in->child, in->tenant, PQgetvalue(res, 0, 0),
                   "status_change", PQgetvalue(res, 0, 1));
    PQclear(res);

    return rc;
}


/* first the send: it may be this that tells the message's id */

static int
inbound_send_status(inbound_t *in, const media_webhook_item_t *item,
    const char *const *params)
{
    send_status_t  status;

    status.instance = params[0];
    status.provider_id = params[1];
    status.status = params[2];
    status.error = params[4];
    status.error_code = inbound_text(in, item->error_code);
    status.callback = inbound_text(in, item->callback_data);
    status.pricing = inbound_text(in, item->pricing);

    return send_match_status(in->child, &status);
}


static int
inbound_status_early(inbound_t *in, const char *const *params)
{
    PGresult  *res;

    res = db_exec(in->child, inbound_early_sql, 5, params);
    PQclear(res);

    return (res == NULL) ? -1 : 0;
}


/* found: the message is there, whether the edit is newer or not */

int
inbound_edit(inbound_t *in, const media_webhook_item_t *item, bool *found)
{
    int          rc;
    PGresult    *res;
    const char  *params[4];

    *found = false;
    params[0] = in->instance;
    params[1] = inbound_text(in, item->target_id);
    params[2] = inbound_text(in, item->text);
    params[3] = inbound_number(in, item->timestamp);

    res = db_exec(in->child, "SELECT 1 FROM media.messages"
                             " WHERE instance_id = $1::bigint"
                             " AND provider_id = $2", 2, params);
    if (res == NULL) {
        return -1;
    }

    *found = PQntuples(res) > 0;
    PQclear(res);

    if (!*found) {
        return 0;
    }

    res = db_exec(in->child, inbound_edit_sql, 4, params);
    if (res == NULL) {
        return -1;
    }

    rc = 0;

    if (PQntuples(res) > 0) {
        rc = event_add(in->child, in->tenant, PQgetvalue(res, 0, 0),
                       "status_change", PQgetvalue(res, 0, 1));
    }

    PQclear(res);

    return rc;
}


int
inbound_contact(inbound_t *in, const media_webhook_item_t *item)
{
    const char  *id;

    if (!inbound_is_person(item->chat)) {
        return 0;
    }

    if (inbound_upsert_contact(in, inbound_text(in, item->chat),
                               inbound_text(in, item->sender_name), &id)
        != 0)
    {
        return -1;
    }

    return item->profile_pic_url.len ? inbound_picture(in, item) : 0;
}


int
inbound_chat(inbound_t *in, const media_webhook_item_t *item,
    const char **chat)
{
    PGresult    *res;
    const char  *params[2];

    *chat = inbound_text(in, item->chat);

    if (item->is_group || strspn(*chat, "0123456789") == strlen(*chat)) {
        return item->chat_alt.len == 0 ? 0
               : inbound_learn_alias(in, inbound_text(in, item->chat_alt),
                                     *chat);
    }

    params[0] = in->tenant;
    params[1] = *chat;

    res = db_exec(in->child, "SELECT address FROM media.chat_aliases"
                             " WHERE tenant_id = $1 AND alias = $2", 2,
                  params);
    if (res == NULL) {
        return -1;
    }

    if (PQntuples(res) > 0) {
        *chat = inbound_text(in, (media_str_t) {
                                     strlen(PQgetvalue(res, 0, 0)),
                                     PQgetvalue(res, 0, 0) });
    }

    PQclear(res);

    return 0;
}


/* a conversation that began under the alias goes on under the address */

static int
inbound_learn_alias(inbound_t *in, const char *alias, const char *chat)
{
    PGresult    *res;
    const char  *params[4];

    params[0] = in->tenant;
    params[1] = alias;
    params[2] = chat;
    params[3] = in->instance;

    res = db_exec(in->child, inbound_alias_sql, 4, params);
    PQclear(res);

    return (res == NULL) ? -1 : 0;
}


/* a name that is empty says nothing */

int
inbound_upsert_contact(inbound_t *in, const char *address, const char *name,
    const char **id)
{
    PGresult    *res;
    const char  *params[3];

    params[0] = in->tenant;
    params[1] = address;
    params[2] = name;

    res = db_exec(in->child, inbound_contact_sql, 3, params);

    if (res != NULL && PQntuples(res) == 0) {
        PQclear(res);
        res = db_exec(in->child, inbound_contact_sql, 3, params);
    }

    if (res == NULL) {
        return -1;
    }

    *id = inbound_text(in, (media_str_t) { strlen(PQgetvalue(res, 0, 0)),
                                           PQgetvalue(res, 0, 0) });
    PQclear(res);

    return 0;
}


/*
 * A picture's address has a path that changes with the picture and a query
 * that changes each time.  A redelivered webhook may have lost its job.
 */

int
inbound_picture(inbound_t *in, const media_webhook_item_t *item)
{
    int          rc;
    PGresult    *res;
    const char  *params[5];

    if (item->is_group || item->chat.len == 0
        || memchr(item->chat.data, '@', item->chat.len) != NULL)
    {
        return 0;
    }

    params[0] = in->tenant;
    params[1] = inbound_text(in, item->chat);
    params[2] = inbound_text(in, item->profile_pic_url);
    params[3] = in->instance;
    params[4] = in->job->redelivered ? "true" : "false";

    res = db_exec(in->child, inbound_picture_sql, 5, params);
    if (res == NULL) {
        return -1;
    }

    rc = 0;

    if (PQntuples(res) > 0) {
        rc = inbound_list_add(&in->pictures, strdup(PQgetvalue(res, 0, 0)));
    }

    PQclear(res);

    return rc;
}


int
inbound_connection(inbound_t *in, const media_webhook_item_t *item)
{
    PGresult    *res;
    const char  *params[2];

    params[0] = in->instance;
    params[1] = inbound_text(in, item->type);

    res = db_exec(in->child,
                  "UPDATE media.instances SET connection = $2,"
                  " updated_at = now()"
                  " WHERE id = $1::bigint AND connection <> $2", 2, params);
    PQclear(res);

    return (res == NULL) ? -1 : 0;
}
