/*
 * Copyright (C) ngx_media contributors
 *
 * The job of webhook_inbound: analyses a webhook as it streams and writes all
 * its items in one transaction, each within a savepoint, so that an item the
 * database refuses takes no other with it.  Every step may be repeated: what
 * is there already stays as it is.  Jobs and events leave after the commit.
 */

#define _GNU_SOURCE
#include <stdlib.h>

#include "inbound.h"


#define INBOUND_BODY_MAX  (256 * 1024 * 1024)   /* bytes of an offloaded one */
#define INBOUND_LOCKS     1024          /* a batch of thousands of messages
                                           must fit PostgreSQL's lock table */


static void inbound_init(inbound_t *in, child_t *child, job_t *job);
static job_result_t inbound_run(inbound_t *in);
static int inbound_feed(inbound_t *in);
static int inbound_feed_piece(void *data, const char *s, size_t len);
static int inbound_finish(inbound_t *in, int rc);
static job_result_t inbound_failure(inbound_t *in);
static int inbound_item(void *data, const media_webhook_item_t *item);
static int inbound_other(inbound_t *in, const media_webhook_item_t *item);
static int inbound_instance(inbound_t *in, const media_webhook_item_t *item,
    const char **reason);
static int inbound_write(inbound_t *in, const media_webhook_item_t *item);
static int inbound_item_begin(inbound_t *in,
    const media_webhook_item_t *item);
static unsigned long inbound_lock_key(const char *instance, media_str_t id);
static int inbound_item_end(inbound_t *in, const media_webhook_item_t *item,
    int rc);
static int inbound_exec(inbound_t *in, const char *sql);
static job_result_t inbound_publish(inbound_t *in);


/* events that say nothing worth keeping when their shape is not known */
static const char *const  inbound_noise[] = {
    "presence.update", "chats.", "labels.", "qrcode.updated", "call",
    "contacts.set", "messages.set", "groups.", "group-participants.",
    "typebot.", "application.startup", "new.jwt", "messaging-history.",
    "instance.", "status.instance", "webhookChatPresence", NULL
};


job_result_t
inbound_job(child_t *child, job_t *job)
{
    inbound_t     in;
    media_str_t   name;
    job_result_t  result;

    inbound_init(&in, child, job);

    media_str_set(&name, job->provider, strlen(job->provider));
    in.webhook = media_webhook_create(media_provider_by_name(name),
                                      inbound_item, &in);

    if (in.webhook == NULL) {
        return JOB_AGAIN;
    }

    result = inbound_run(&in);

    media_webhook_free(in.webhook);
    inbound_list_free(&in.texts);
    inbound_list_free(&in.attachments);
    inbound_list_free(&in.previews);
    inbound_list_free(&in.pictures);

    return result;
}


/* a message without an id gets one from its body, the same each time */

static void
inbound_init(inbound_t *in, child_t *child, job_t *job)
{
    char  id[MEDIA_KEY_UUID_LEN + 1];

    memset(in, 0, sizeof(inbound_t));

    in->child = child;
    in->job = job;
    strcpy(in->body_key, job->body_key);

    if (job->request_id[0] == '\0') {
        media_key_uuid(id, job->body);
        strcpy(job->request_id, id);
    }

    if (job->received_ms > 0) {
        snprintf(in->at, sizeof(in->at), "%lld.%03d",
                 (long long) (job->received_ms / 1000),
                 (int) (job->received_ms % 1000));
    }
}


static job_result_t
inbound_run(inbound_t *in)
{
    int  rc;

    if (db_begin(in->child) != 0) {
        return JOB_AGAIN;
    }

    rc = inbound_feed(in);

    if (in->passing) {
        db_rollback(in->child);
        return JOB_AGAIN;
    }

    if (inbound_finish(in, rc) != 0) {
        return inbound_failure(in);
    }

    if (db_commit(in->child) != 0) {
        return inbound_failure(in);
    }

    return inbound_publish(in);
}


static int
inbound_feed(inbound_t *in)
{
    int     rc;
    long    status;
    job_t  *job;

    job = in->job;

    if (job->body_key[0] == '\0') {
        rc = media_webhook_feed(in->webhook, job->body.data, job->body.len);

        return (rc == MEDIA_OK) ? media_webhook_finish(in->webhook) : rc;
    }

    status = 0;
    rc = store_get(in->child, job->body_key, -1, -1, inbound_feed_piece, in,
                   INBOUND_BODY_MAX, &status);

    if (rc == 0) {
        return media_webhook_finish(in->webhook);
    }

    /* the analysis itself stopped the transfer, with its reason */

    if (media_webhook_error(in->webhook)[0] != '\0') {
        return MEDIA_ERROR;
    }

    if (!in->passing && status == 404) {
        in->gone = true;
        return MEDIA_ERROR;
    }

    in->passing = true;

    return MEDIA_ERROR;
}


static int
inbound_feed_piece(void *data, const char *s, size_t len)
{
    inbound_t  *in = data;

    return media_webhook_feed(in->webhook, s, len);
}


/* what was no JSON, or JSON of nothing: kept, not repeated */

static int
inbound_finish(inbound_t *in, int rc)
{
    const char  *reason;

    if (in->gone) {
        return unrouted_keep(in, in->job->instance, "its body in S3 is gone");
    }

    if (rc != MEDIA_OK) {
        reason = media_webhook_error(in->webhook);

        return unrouted_keep(in, in->job->instance,
                             reason[0] ? log_fmt("not readable: %s", reason)
                                       : "not readable");
    }

    if (in->nitems == 0) {
        return unrouted_keep(in, in->job->instance, "nothing in it");
    }

    return 0;
}


static job_result_t
inbound_failure(inbound_t *in)
{
    int  passing;

    passing = db_failure_is_passing(in->child);
    db_rollback(in->child);

    return passing ? JOB_AGAIN : JOB_RETRY;
}


static int
inbound_item(void *data, const media_webhook_item_t *item)
{
    int          rc;
    inbound_t   *in = data;
    const char  *reason;

    in->nitems++;
    reason = NULL;

    if (item->kind == MEDIA_ITEM_OTHER) {
        rc = inbound_other(in, item);

    } else {
        rc = inbound_instance(in, item, &reason);

        if (rc == 0 && reason != NULL) {
            rc = unrouted_keep(in, inbound_text(in, item->instance), reason);

        } else if (rc == 0) {
            rc = inbound_write(in, item);
        }
    }

    inbound_list_free(&in->texts);

    if (rc != 0) {
        in->passing = true;
        return 0;
    }

    return 1;
}


static int
inbound_other(inbound_t *in, const media_webhook_item_t *item)
{
    size_t       i, len;
    const char  *event;

    event = inbound_text(in, item->event);

    for (i = 0; inbound_noise[i] != NULL; i++) {
        len = strlen(inbound_noise[i]);

        if (strncmp(event, inbound_noise[i], len) == 0) {
            return 0;
        }
    }

    return unrouted_keep(in, inbound_text(in, item->instance),
                         log_fmt("unknown event \"%.80s\"", event));
}


/*
 * Where nginx was told the instance, the body must name the same one: a
 * token is good for its own instance only.
 */

static int
inbound_instance(inbound_t *in, const media_webhook_item_t *item,
    const char **reason)
{
    PGresult    *res;
    const char  *name, *params[2];

    name = item->instance.len ? inbound_text(in, item->instance)
                              : in->job->instance;

    if (in->job->instance[0] != '\0' && strcmp(in->job->instance, name) != 0) {
        *reason = "instance is not that of the address";
        return 0;
    }

    params[0] = media_provider_name(item->provider);
    params[1] = name;
    snprintf(in->provider, sizeof(in->provider), "%s", params[0]);

    res = db_exec(in->child, "SELECT id, tenant_id, enabled"
                             " FROM media.instances"
                             " WHERE provider = $1 AND name = $2", 2, params);
    if (res == NULL) {
        return -1;
    }

    if (PQntuples(res) == 0) {
        *reason = UNROUTED_UNKNOWN;

    } else if (strcmp(PQgetvalue(res, 0, 2), "t") != 0) {
        *reason = UNROUTED_DISABLED;

    } else {
        snprintf(in->instance, sizeof(in->instance), "%s",
                 PQgetvalue(res, 0, 0));
        snprintf(in->tenant, sizeof(in->tenant), "%s", PQgetvalue(res, 0, 1));
    }

    PQclear(res);

    return 0;
}


static int
inbound_write(inbound_t *in, const media_webhook_item_t *item)
{
    int  rc;

    if (inbound_item_begin(in, item) != 0) {
        return -1;
    }

    switch (item->kind) {

    case MEDIA_ITEM_MESSAGE:
        rc = inbound_message(in, item);
        break;

    case MEDIA_ITEM_STATUS:
        rc = inbound_status(in, item, item->message_id, item->status);
        break;

    case MEDIA_ITEM_CONTACT:
        rc = inbound_contact(in, item);
        break;

    default:
        rc = inbound_connection(in, item);
        break;
    }

    return inbound_item_end(in, item, rc);
}


static int
inbound_item_begin(inbound_t *in, const media_webhook_item_t *item)
{
    char  sql[128];

    snprintf(sql, sizeof(sql),
             "SAVEPOINT item; SELECT pg_advisory_xact_lock(7305, %lu)",
             inbound_lock_key(in->instance,
                              item->target_id.len ? item->target_id
                                                  : item->message_id));

    return inbound_exec(in, sql);
}


static unsigned long
inbound_lock_key(const char *instance, media_str_t id)
{
    char         name[512], uuid[MEDIA_KEY_UUID_LEN + 1];
    media_str_t  s;

    snprintf(name, sizeof(name), "%s:%.*s", instance,
             (int) (id.len < 400 ? id.len : 400), id.data ? id.data : "");
    media_str_set(&s, name, strlen(name));
    media_key_uuid(uuid, s);
    uuid[8] = '\0';

    return strtoul(uuid, NULL, 16) % INBOUND_LOCKS;
}


int
inbound_lock(child_t *child, const char *instance, media_str_t id)
{
    PGresult    *res;
    const char  *params[1];

    params[0] = log_fmt("%lu", inbound_lock_key(instance, id));
    res = db_exec(child, "SELECT pg_advisory_xact_lock(7305, $1::int)", 1,
                  params);
    PQclear(res);

    return res == NULL ? -1 : 0;
}


static int
inbound_item_end(inbound_t *in, const media_webhook_item_t *item, int rc)
{
    if (rc == 0) {
        return inbound_exec(in, "RELEASE SAVEPOINT item");
    }

    if (in->passing || db_failure_is_passing(in->child)) {
        return -1;
    }

    if (inbound_exec(in, "ROLLBACK TO SAVEPOINT item") != 0) {
        return -1;
    }

    return unrouted_keep(in, inbound_text(in, item->instance),
                         log_fmt("item %u (%s) refused by the database, "
                                 "SQLSTATE %s", in->nitems,
                                 media_item_kind_name(item->kind),
                                 db_failure_state()));
}


static int
inbound_exec(inbound_t *in, const char *sql)
{
    int              rc;
    PGresult        *res;
    ExecStatusType   status;

    res = PQexec(in->child->db, sql);
    status = PQresultStatus(res);
    rc = (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) ? 0 : -1;

    if (rc != 0) {
        log_msg(LOG_ERR, "transaction failed", "sqlstate",
                PQresultErrorField(res, PG_DIAG_SQLSTATE), NULL);
        in->passing = true;
    }

    PQclear(res);

    return rc;
}


int
inbound_store_body(inbound_t *in)
{
    long  status;

    if (in->body_key[0] != '\0') {
        return 0;
    }

    snprintf(in->body_key, sizeof(in->body_key), "webhooks/%s",
             in->job->request_id);

    if (store_put_mem(in->child, in->body_key, in->job->body,
                      "application/json", &status) != 0)
    {
        in->passing = true;
        return -1;
    }

    return 0;
}


/* not acknowledged if this fails: it comes again and finds rows to re-arm */

static job_result_t
inbound_publish(inbound_t *in)
{
    size_t       i;
    media_str_t  s;

    for (i = 0; i < in->previews.n; i++) {
        if (broker_publish_id(in->child->broker, "media_priority", "preview",
                              "attachment_id", in->previews.items[i], 0)
            != 0)
        {
            return JOB_AGAIN;
        }
    }

    for (i = 0; i < in->attachments.n; i++) {
        if (broker_publish_id(in->child->broker, "media_download", "download",
                              "attachment_id", in->attachments.items[i], 0)
            != 0)
        {
            return JOB_AGAIN;
        }

        hop_add(in->child, in->attachments.items[i], NULL, NULL, "queued",
                "ok", "media_download", -1);
    }

    for (i = 0; i < in->pictures.n; i++) {
        media_str_set(&s, in->pictures.items[i],
                      strlen(in->pictures.items[i]));

        if (broker_publish(in->child->broker, "media_priority", s, 0, 0)
            != 0)
        {
            return JOB_AGAIN;
        }
    }

    event_publish(in->child);

    if (in->job->body_key[0] != '\0') {
        unrouted_drop_body(in->child, in->job->body_key);
    }

    return JOB_DONE;
}
