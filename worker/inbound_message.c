/*
 * Copyright (C) ngx_media contributors
 *
 * A message of a webhook: contact, conversation, message, attachment and the
 * event of it.  What is there already is left alone; an attachment that is
 * not finished gets its job again.
 */

#define _GNU_SOURCE
#include <stdlib.h>

#include "inbound.h"
#include "send.h"


#define INBOUND_PREVIEW_MAX  65536      /* bytes; WhatsApp's have some 5000 */


typedef struct {
    const char  *id;                    /* the provider's */
    const char  *row;                   /* ours, NULL if new */
    const char  *conversation;
    const char  *attachment;            /* NULL without media */
    bool         there;                 /* attachment has a row */
} message_t;


static int inbound_echo(inbound_t *in, const media_webhook_item_t *item,
    message_t *m);
static int inbound_find(inbound_t *in, const media_webhook_item_t *item,
    message_t *m);
static int inbound_create(inbound_t *in, const media_webhook_item_t *item,
    message_t *m);
static int inbound_conversation(inbound_t *in,
    const media_webhook_item_t *item, message_t *m);
static int inbound_insert(inbound_t *in, const media_webhook_item_t *item,
    message_t *m);
static int inbound_early_status(inbound_t *in, const message_t *m);
static int inbound_attachment(inbound_t *in,
    const media_webhook_item_t *item, const message_t *m);
static const char *inbound_preview(inbound_t *in, media_str_t bytes);
static int inbound_queue(inbound_t *in, const media_webhook_item_t *item,
    const message_t *m);
static const char *inbound_file_name(inbound_t *in,
    const media_webhook_item_t *item);
static const char *inbound_missing(inbound_t *in,
    const media_webhook_media_t *media);
static int inbound_hops(inbound_t *in, const message_t *m, bool duplicate);
static const char *inbound_flag(unsigned has, unsigned value);
static const char *inbound_copy(inbound_t *in, const char *s);
static bool inbound_type_is(const media_webhook_item_t *item,
    const char *name);


static const char  inbound_find_sql[] =
    "SELECT m.id, m.conversation_id, a.id IS NOT NULL,"
    "       coalesce(a.status = 'pending' OR (a.status = 'processing'"
    "                AND coalesce(a.lease_until, now()) <= now()), false)"
    "  FROM media.messages m"
    "  LEFT JOIN media.message_attachments a ON a.message_id = m.id"
    " WHERE m.instance_id = $1::bigint AND m.provider_id = $2";

static const char  inbound_conversation_sql[] =
    "WITH new AS (INSERT INTO media.conversations (tenant_id, instance_id,"
    "         contact_id, chat, is_group)"
    "     VALUES ($1, $2::bigint, $3::bigint, $4, $5::boolean)"
    "     ON CONFLICT (instance_id, chat) DO UPDATE"
    "     SET contact_id = excluded.contact_id"
    "     WHERE conversations.contact_id IS NULL"
    "       AND excluded.contact_id IS NOT NULL RETURNING id)"
    " SELECT id FROM new UNION ALL SELECT id FROM media.conversations"
    "  WHERE instance_id = $2::bigint AND chat = $4 LIMIT 1";

static const char  inbound_insert_sql[] =
    "WITH m AS (INSERT INTO media.messages (tenant_id, instance_id,"
    "         conversation_id, provider_id, direction, sender, sender_name,"
    "         type, content, reply_to, status, metadata, sent_at)"
    "     VALUES ($1, $2::bigint, $3::bigint, $4, $5, $6, $7, $8, $9, $10,"
    "         $11, $12::jsonb, to_timestamp($13::double precision))"
    "     RETURNING *),"
    " c AS (UPDATE media.conversations SET updated_at = now(),"
    "         last_message_at = greatest(last_message_at, coalesce("
    "             to_timestamp($13::double precision), now())),"
    /* of the Cloud API's window: a reaction or a button counts, too */
    "         last_customer_message_at = CASE WHEN $5 = 'incoming'"
    "             AND $8 NOT IN ('edit', 'revoke', 'system') THEN"
    "             greatest(last_customer_message_at, least(now(),"
    "                 to_timestamp($13::double precision)))"
    "             ELSE last_customer_message_at END"
    "     WHERE id = $3::bigint)"
    " SELECT id, (media.message_json(m) || jsonb_build_object("
    "         'attachment_id', $14::text))::text"
    "   FROM m";

static const char  inbound_attachment_sql[] =
    "INSERT INTO media.message_attachments (id, tenant_id, message_id,"
    "       conversation_id, category, file_name, file_type, size_bytes,"
    "       preview, source, metadata)"
    " VALUES ($1::uuid, $2, $3::bigint, $4::bigint, $5, left($6, 255),"
    "       left($7, 100), coalesce($8::bigint, 0), $9::bytea,"
    "   jsonb_strip_nulls(jsonb_build_object('provider', $10::text,"
    "       'instance_id', $11::bigint, 'message_id', $12::text,"
    "       'chat_raw', $13::text, 'sender_raw', $14::text,"
    "       'from_me', $15::boolean, 'key_type', $16::text,"
    "       'mimetype', $17::text, 'file_length', $8::bigint,"
    "       'media_key', $18::text, 'sha256', $19::text,"
    "       'enc_sha256', $20::text, 'direct_path', $21::text,"
    "       'url', $22::text, 'media_url', $23::text, 'id', $24::text,"
    "       'body_key', $25::text, 'body_offset', $26::bigint,"
    "       'body_length', $27::bigint)),"
    "   jsonb_strip_nulls(jsonb_build_object("
    "       'whatsapp_message_id', $12::text, 'width', $28::bigint,"
    "       'height', $29::bigint, 'duration', $30::bigint,"
    "       'pages', $31::bigint, 'caption', $32::text, 'title', $33::text,"
    "       'ptt', $34::boolean, 'is_animated', $35::boolean,"
    "       'waveform', $36::text, 'waveform_source',"
    "       CASE WHEN $36::text <> '' THEN 'message' END,"
    "       'view_once', $37::boolean,"
    "       'media_key_timestamp', $38::bigint,"
    "       'missing', string_to_array($39, ' '))))"
    " ON CONFLICT DO NOTHING";


int
inbound_message(inbound_t *in, const media_webhook_item_t *item)
{
    int        rc;
    bool       found;
    char       name[512], uuid[MEDIA_KEY_UUID_LEN + 1];
    message_t  m;

    if (inbound_type_is(item, "revoke") && item->target_id.len) {
        return inbound_status(in, item, item->target_id,
                              MEDIA_STATUS_DELETED);
    }

    if (inbound_type_is(item, "edit") && item->target_id.len) {
        rc = inbound_edit(in, item, &found);

        if (rc != 0 || found) {
            return rc;
        }
    }

    if (item->message_id.len == 0 || item->chat.len == 0) {
        return unrouted_keep(in, inbound_text(in, item->instance),
                             "message without an id or a chat");
    }

    memset(&m, 0, sizeof(message_t));
    m.id = inbound_text(in, item->message_id);

    if (item->media != NULL) {
        snprintf(name, sizeof(name), "%s:%s", in->instance, m.id);
        media_key_uuid(uuid, (media_str_t) { strlen(name), name });
        m.attachment = inbound_copy(in, uuid);
    }

    rc = item->from_me ? inbound_echo(in, item, &m) : 0;

    if (rc != 0) {
        return rc < 0 ? -1 : inbound_hops(in, &m, true);
    }

    if (inbound_find(in, item, &m) != 0) {
        return -1;
    }

    if (m.row != NULL && (m.attachment == NULL || m.there)) {
        return inbound_hops(in, &m, true);
    }

    return inbound_create(in, item, &m);
}


/* 1 if it is a send of ours, which has its rows already */

static int
inbound_echo(inbound_t *in, const media_webhook_item_t *item, message_t *m)
{
    int          rc;
    send_echo_t  echo;

    echo.instance = in->instance;
    echo.provider_id = m->id;
    echo.type = inbound_text(in, item->type);
    echo.text = inbound_text(in, item->text);
    echo.timestamp = inbound_number(in, item->timestamp);
    echo.from_api = item->from_api;

    if (inbound_chat(in, item, &echo.chat) != 0) {
        return -1;
    }

    rc = send_match_echo(in->child, &echo);

    if (rc == 1) {
        m->attachment = NULL;
    }

    return rc;
}


static int
inbound_find(inbound_t *in, const media_webhook_item_t *item, message_t *m)
{
    PGresult    *res;
    const char  *params[2];

    params[0] = in->instance;
    params[1] = m->id;

    res = db_exec(in->child, inbound_find_sql, 2, params);
    if (res == NULL) {
        return -1;
    }

    if (PQntuples(res) > 0) {
        m->row = inbound_copy(in, PQgetvalue(res, 0, 0));
        m->conversation = inbound_copy(in, PQgetvalue(res, 0, 1));
        m->there = (PQgetvalue(res, 0, 2)[0] == 't');

        if (m->attachment != NULL && PQgetvalue(res, 0, 3)[0] == 't') {
            (void) inbound_queue(in, item, m);
        }
    }

    PQclear(res);

    return 0;
}


static int
inbound_create(inbound_t *in, const media_webhook_item_t *item, message_t *m)
{
    if (m->row == NULL
        && (inbound_conversation(in, item, m) != 0
            || inbound_insert(in, item, m) != 0
            || inbound_early_status(in, m) != 0))
    {
        return -1;
    }

    if (m->attachment != NULL && inbound_attachment(in, item, m) != 0) {
        return -1;
    }

    if (item->profile_pic_url.len && inbound_picture(in, item) != 0) {
        return -1;
    }

    return inbound_hops(in, m, false);
}


/* the person of a chat, and in a group the one who wrote */

static int
inbound_conversation(inbound_t *in, const media_webhook_item_t *item,
    message_t *m)
{
    PGresult    *res;
    const char  *chat, *name, *contact, *params[5];

    contact = NULL;
    name = item->from_me ? "" : inbound_text(in, item->sender_name);

    if (inbound_chat(in, item, &chat) != 0) {
        return -1;
    }

    if (inbound_is_person(item->chat)) {
        if (inbound_upsert_contact(in, chat, name, &contact) != 0) {
            return -1;
        }

    } else if (!item->from_me && inbound_is_person(item->sender)) {
        if (inbound_upsert_contact(in, inbound_text(in, item->sender), name,
                                   &contact) != 0)
        {
            return -1;
        }

        contact = NULL;
    }

    params[0] = in->tenant;
    params[1] = in->instance;
    params[2] = contact;
    params[3] = chat;
    params[4] = item->is_group ? "true" : "false";

    /* none: another child has just made it, and the next look sees it */

    res = db_exec(in->child, inbound_conversation_sql, 5, params);

    if (res != NULL && PQntuples(res) == 0) {
        PQclear(res);
        res = db_exec(in->child, inbound_conversation_sql, 5, params);
    }

    if (res == NULL) {
        return -1;
    }

    m->conversation = inbound_copy(in, PQgetvalue(res, 0, 0));
    PQclear(res);

    return 0;
}


static int
inbound_insert(inbound_t *in, const media_webhook_item_t *item, message_t *m)
{
    int          rc;
    PGresult    *res;
    const char  *params[14];

    params[0] = in->tenant;
    params[1] = in->instance;
    params[2] = m->conversation;
    params[3] = m->id;
    params[4] = item->from_me ? "outgoing" : "incoming";
    params[5] = inbound_text(in, item->sender);
    params[6] = inbound_text(in, item->sender_name);
    params[7] = item->type.len ? inbound_text(in, item->type) : "unknown";
    params[8] = inbound_text(in, item->text);
    params[9] = inbound_text(in, item->reply_to.len ? item->reply_to
                                                    : item->target_id);
    params[10] = item->status == MEDIA_STATUS_NONE
                 ? "" : media_status_name(item->status);
    params[11] = inbound_json(in, item->raw);
    params[12] = inbound_number(in, item->timestamp);
    params[13] = m->attachment;

    res = db_exec(in->child, inbound_insert_sql, 14, params);
    if (res == NULL) {
        return -1;
    }

    m->row = inbound_copy(in, PQgetvalue(res, 0, 0));
    rc = event_add(in->child, in->tenant, m->conversation, "new_message",
                   PQgetvalue(res, 0, 1));
    PQclear(res);

    return rc;
}


static int
inbound_early_status(inbound_t *in, const message_t *m)
{
    PGresult    *res;
    const char  *params[3];
    static const char  sql[] =
        "WITH e AS (DELETE FROM media.early_statuses"
        "     WHERE instance_id = $1::bigint AND provider_id = $2"
        "     RETURNING *)"
        " UPDATE media.messages m SET status = e.status,"
        "        status_at = e.status_at, error_message = e.error_message"
        "   FROM e WHERE m.id = $3::bigint"
        "    AND media.status_rank(e.status) > media.status_rank(m.status)";

    params[0] = in->instance;
    params[1] = m->id;
    params[2] = m->row;

    res = db_exec(in->child, sql, 3, params);
    PQclear(res);

    return (res == NULL) ? -1 : 0;
}


static int
inbound_attachment(inbound_t *in, const media_webhook_item_t *item,
    const message_t *m)
{
    PGresult                     *res;
    media_str_t                   type;
    const char                   *p[39];
    const media_webhook_media_t  *media;

    media = item->media;

    if (media->base64_length > 0 && inbound_store_body(in) != 0) {
        return -1;
    }

    type = media->mimetype;
    media_str_set(&type, type.data, type.len ? strcspn(
                      inbound_text(in, type), "; ") : 0);

    p[0] = m->attachment;
    p[1] = in->tenant;
    p[2] = m->row;
    p[3] = m->conversation;
    p[4] = inbound_text(in, media->type);
    p[5] = inbound_file_name(in, item);
    p[6] = inbound_text(in, type);
    p[7] = inbound_number(in, media->file_length);
    p[8] = inbound_preview(in, media->thumbnail);
    p[9] = in->provider;
    p[10] = in->instance;
    p[11] = m->id;
    p[12] = inbound_text_or_null(in, item->chat_raw);
    p[13] = inbound_text_or_null(in, item->sender_raw);
    p[14] = item->from_me ? "true" : "false";
    p[15] = inbound_text_or_null(in, media->key_type);
    p[16] = inbound_text_or_null(in, media->mimetype);
    p[17] = inbound_base64(in, media->media_key);
    p[18] = inbound_base64(in, media->sha256);
    p[19] = inbound_base64(in, media->enc_sha256);
    p[20] = inbound_text_or_null(in, media->direct_path);
    p[21] = inbound_text_or_null(in, media->url);
    p[22] = inbound_text_or_null(in, media->media_url);
    p[23] = inbound_text_or_null(in, media->id);
    p[24] = media->base64_length > 0 ? in->body_key : NULL;
    p[25] = media->base64_length > 0
            ? inbound_number(in, media->base64_offset) : NULL;
    p[26] = media->base64_length > 0
            ? inbound_number(in, media->base64_length) : NULL;
    p[27] = inbound_number(in, media->width);
    p[28] = inbound_number(in, media->height);
    p[29] = inbound_number(in, media->seconds);
    p[30] = inbound_number(in, media->page_count);
    p[31] = inbound_text_or_null(in, media->caption);
    p[32] = inbound_text_or_null(in, media->title);
    p[33] = inbound_flag(media->has_ptt, media->ptt);
    p[34] = inbound_flag(media->has_animated, media->is_animated);
    p[35] = inbound_base64(in, media->waveform);
    p[36] = inbound_flag(media->view_once, media->view_once);
    p[37] = inbound_number(in, media->media_key_timestamp);
    p[38] = inbound_missing(in, media);

    res = db_exec(in->child, inbound_attachment_sql, 39, p);
    PQclear(res);

    if (res == NULL) {
        return -1;
    }

    return inbound_queue(in, item, m);
}


static const char *
inbound_preview(inbound_t *in, media_str_t bytes)
{
    return bytes.len <= INBOUND_PREVIEW_MAX ? inbound_bytea(in, bytes) : NULL;
}


static int
inbound_queue(inbound_t *in, const media_webhook_item_t *item,
    const message_t *m)
{
    if (item->media->thumbnail.len
        && inbound_list_add(&in->previews, strdup(m->attachment)) != 0)
    {
        return -1;
    }

    return inbound_list_add(&in->attachments, strdup(m->attachment));
}


/* the sender's name for the file, else media_{message_id}.{ext} */

static const char *
inbound_file_name(inbound_t *in, const media_webhook_item_t *item)
{
    char         name[256];
    media_str_t  id;

    if (item->media->file_name.len) {
        return inbound_text(in, item->media->file_name);
    }

    id = item->message_id;

    snprintf(name, sizeof(name), "media_%.*s.%s",
             (int) (id.len < 200 ? id.len : 200), id.data,
             media_mime_extension(item->media->mimetype));

    return inbound_text(in, (media_str_t) { strlen(name), name });
}


static const char *
inbound_missing(inbound_t *in, const media_webhook_media_t *media)
{
    char      names[128];
    size_t    len;
    unsigned  i;

    if (media->nmissing == 0) {
        return NULL;
    }

    len = 0;

    for (i = 0; i < media->nmissing; i++) {
        len += snprintf(names + len, sizeof(names) - len, "%s%s",
                        i ? " " : "", media->missing[i]);
    }

    return inbound_copy(in, names);
}


static int
inbound_hops(inbound_t *in, const message_t *m, bool duplicate)
{
    PGresult    *res;
    const char  *params[6];
    static const char  sql[] =
        "INSERT INTO media.hops (attachment_id, instance_id, provider_id,"
        "       stage, outcome, detail, at)"
        " VALUES ($1::uuid, $2::bigint, $3, 'received', 'ok',"
        "       'request ' || $4, coalesce(to_timestamp("
        "       $5::double precision), clock_timestamp())),"
        "       ($1::uuid, $2::bigint, $3, 'analysed', $6, '',"
        "       clock_timestamp())";

    params[0] = m->attachment;
    params[1] = in->instance;
    params[2] = m->id;
    params[3] = in->job->request_id;
    params[4] = in->at[0] ? in->at : NULL;
    params[5] = duplicate ? "duplicate" : "ok";

    res = db_exec(in->child, sql, 6, params);
    PQclear(res);

    return (res == NULL) ? -1 : 0;
}


static const char *
inbound_flag(unsigned has, unsigned value)
{
    return !has ? NULL : value ? "true" : "false";
}


static const char *
inbound_copy(inbound_t *in, const char *s)
{
    return inbound_text(in, (media_str_t) { strlen(s), s });
}


static bool
inbound_type_is(const media_webhook_item_t *item, const char *name)
{
    return item->type.len == strlen(name)
           && memcmp(item->type.data, name, item->type.len) == 0;
}
