/*
 * Copyright (C) ngx_media contributors
 *
 * mediactl send: the ledger of sends, for people.  A new attempt of a send
 * and the end of one are theirs to decide; the row keeps who did and when.
 */

#define _GNU_SOURCE
#include <getopt.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "mediactl_db.h"
#include "send.h"


typedef struct {
    const char  *state;
    const char  *tenant;
    const char  *id;
    bool         json;
} send_options_t;


static int send_usage(void);
static int send_options(int argc, char **argv, send_options_t *o);
static bool send_uuid_is_valid(const char *id);
static int send_list(child_t *child, const send_options_t *o);
static int send_show(child_t *child, const send_options_t *o);
static int send_retry(child_t *child, const send_options_t *o);
static int send_cancel(child_t *child, const send_options_t *o);
static int send_none(const send_options_t *o, const char *states);


#define SEND_TIME(column)                                                    \
    "to_char(s." column " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS')"  \
    " || 'Z' AS " column

static const struct {
    const char  *name;
    int        (*run)(child_t *child, const send_options_t *o);
} send_commands[] = {
    { "list", send_list },
    { "show", send_show },
    { "retry", send_retry },
    { "cancel", send_cancel }
};

static const char  send_list_sql[] =
    "SELECT s.id, s.tenant_id AS tenant, s.conversation_id AS conversation,"
    "       s.kind, s.state, s.attempts, " SEND_TIME("created_at") ","
    "       s.error_code"
    "  FROM media.sends s"
    " WHERE ($1::text IS NULL OR s.state = $1)"
    "   AND ($2::text IS NULL OR s.tenant_id = $2)"
    " ORDER BY s.seq DESC LIMIT 1000";

/* not the text of the message */
static const char  send_show_sql[] =
    "SELECT s.id, s.tenant_id AS tenant, i.provider || ' ' || i.name AS"
    "       instance, s.conversation_id AS conversation, s.message_id AS"
    "       message, s.attachment_id AS attachment, s.idempotency_key,"
    "       s.kind, s.state, s.ready, s.attempts, m.status AS"
    "       message_status, s.provider_id, s.error_code, s.error_message,"
    "       s.pricing, " SEND_TIME("created_at") ","
    "       " SEND_TIME("next_at") ", " SEND_TIME("sending_at") ","
    "       " SEND_TIME("accepted_at") ", s.body->'retries' AS retries,"
    "       b.reason AS number_paused"
    "  FROM media.sends s JOIN media.instances i ON i.id = s.instance_id"
    "  LEFT JOIN media.messages m ON m.id = s.message_id"
    "  LEFT JOIN media.send_breakers b ON b.instance_id = s.instance_id"
    "       AND b.open_until > now()"
    " WHERE s.id = $1::uuid";

/* the provider's id of before stays, so that its late statuses are not taken
   for those of the new attempt */
static const char  send_retry_sql[] =
    "WITH old AS (SELECT * FROM media.sends WHERE id = $1::uuid"
    "         AND state IN ('failed', 'unknown') FOR UPDATE),"
    " s AS (UPDATE media.sends s SET state = 'queued', attempts = 0,"
    "         ready = true, seq = DEFAULT, next_at = now(),"
    "         provider_id = '', error_code = '', error_message = '',"
    "         sending_at = NULL, accepted_at = NULL, updated_at = now(),"
    "         body = jsonb_set(s.body, '{retries}',"
    "             coalesce(s.body->'retries', '[]') || jsonb_build_array("
    "             jsonb_build_object('at', now(), 'by', $2::text, 'state',"
    "             old.state, 'provider_id', old.provider_id, 'error_code',"
    "             old.error_code, 'error', old.error_message)))"
    "     FROM old WHERE s.id = old.id RETURNING s.*),"
    " m AS (UPDATE media.messages m SET provider_id = 'send:' || s.id,"
    "         status = 'pending', status_at = now(), error_message = '',"
    "         updated_at = now() FROM s WHERE m.id = s.message_id"
    "     RETURNING m.*)"
    " SELECT s.tenant_id, s.conversation_id, jsonb_build_object("
    "        'message_id', m.id, 'provider_id', m.provider_id, 'status',"
    "        m.status, 'error_message', ''), old.state"
    "   FROM s JOIN old ON true LEFT JOIN m ON true";


int
mediactl_send(int argc, char **argv)
{
    int             rc;
    size_t          i;
    child_t         child;
    send_options_t  o;

    if (argc < 2) {
        return send_usage();
    }

    for (i = 0; strcmp(argv[1], send_commands[i].name) != 0; i++) {
        if (i + 1 == sizeof(send_commands) / sizeof(send_commands[0])) {
            return send_usage();
        }
    }

    if (send_options(argc - 1, argv + 1, &o) != 0
        || (i == 0) != (o.id == NULL) || (i > 1 && o.json)
        || (i > 0 && (o.state != NULL || o.tenant != NULL)))
    {
        return send_usage();
    }

    if (o.id != NULL && !send_uuid_is_valid(o.id)) {
        fprintf(stderr, "mediactl: \"%s\" is not the id of a send\n", o.id);
        return MEDIACTL_FAILED;
    }

    if (mediactl_open(&child) != 0) {
        return MEDIACTL_FAILED;
    }

    rc = send_commands[i].run(&child, &o);
    mediactl_close(&child);

    return rc;
}


static int
send_usage(void)
{
    fputs("usage: mediactl send list [--state S] [--tenant T] [--json]\n"
          "       mediactl send show [--json] ID\n"
          "       mediactl send retry ID\n"
          "       mediactl send cancel ID\n", stderr);

    return MEDIACTL_USAGE;
}


static int
send_options(int argc, char **argv, send_options_t *o)
{
    int  option;
    static const struct option  options[] = {
        { "json", no_argument, NULL, 'j' },
        { "state", required_argument, NULL, 's' },
        { "tenant", required_argument, NULL, 't' },
        { NULL, 0, NULL, 0 }
    };

    memset(o, 0, sizeof(send_options_t));

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {

        case 'j':
            o->json = true;
            break;

        case 's':
            o->state = optarg;
            break;

        case 't':
            o->tenant = optarg;
            break;

        default:
            return -1;
        }
    }

    if (argc - optind > 1) {
        return -1;
    }

    o->id = argc > optind ? argv[optind] : NULL;

    return 0;
}


static bool
send_uuid_is_valid(const char *id)
{
    return strlen(id) == MEDIA_KEY_UUID_LEN
           && strspn(id, "0123456789abcdefABCDEF-") == MEDIA_KEY_UUID_LEN
           && id[8] == '-' && id[13] == '-' && id[18] == '-'
           && id[23] == '-';
}


static int
send_list(child_t *child, const send_options_t *o)
{
    PGresult    *res;
    const char  *params[2];

    params[0] = o->state;
    params[1] = o->tenant;

    if (o->json) {
        return mediactl_json(child, send_list_sql, 2, params);
    }

    res = db_exec(child, send_list_sql, 2, params);

    if (res == NULL) {
        return MEDIACTL_FAILED;
    }

    mediactl_table(res);
    PQclear(res);

    return 0;
}


static int
send_show(child_t *child, const send_options_t *o)
{
    int        i;
    PGresult  *res;

    res = db_exec(child, send_show_sql, 1, &o->id);

    if (res == NULL) {
        return MEDIACTL_FAILED;
    }

    if (PQntuples(res) == 0) {
        PQclear(res);
        return send_none(o, "");
    }

    for (i = 0; !o->json && i < PQnfields(res); i++) {
        if (PQgetvalue(res, 0, i)[0] != '\0') {
            printf("%-16s %s\n", PQfname(res, i), PQgetvalue(res, 0, i));
        }
    }

    PQclear(res);

    return o->json ? mediactl_json(child, send_show_sql, 1, &o->id) : 0;
}


static int
send_none(const send_options_t *o, const char *states)
{
    fprintf(stderr, "mediactl: there is no%s send %s\n", states, o->id);

    return MEDIACTL_FAILED;
}


static int
send_retry(child_t *child, const send_options_t *o)
{
    int             rc;
    PGresult       *res;
    const char     *params[2];
    struct passwd  *user;

    params[0] = o->id;
    user = getpwuid(getuid());
    params[1] = user != NULL ? user->pw_name : NULL;

    if (db_begin(child) != 0) {
        return MEDIACTL_FAILED;
    }

    res = db_exec(child, send_retry_sql, 2, params);

    if (res == NULL || PQntuples(res) == 0) {
        rc = res == NULL ? MEDIACTL_FAILED
                         : send_none(o, " failed or unknown");
        PQclear(res);
        db_rollback(child);
        return rc;
    }

    rc = MEDIACTL_FAILED;

    if (event_add(child, PQgetvalue(res, 0, 0), PQgetvalue(res, 0, 1),
                  "status_change", PQgetvalue(res, 0, 2)) == 0
        && db_commit(child) == 0)
    {
        printf("send %s is queued again%s\n", o->id,
               strcmp(PQgetvalue(res, 0, 3), "unknown") == 0
               ? "; it may arrive twice" : "");
        rc = 0;
    }

    PQclear(res);

    return rc;
}


static int
send_cancel(child_t *child, const send_options_t *o)
{
    int     rc;
    send_t  s;

    if (db_begin(child) != 0) {
        return MEDIACTL_FAILED;
    }

    rc = send_load(child, "s.id = $1::uuid AND s.state = 'queued'", o->id,
                   &s);

    if (rc == 0) {
        send_error(&s, "cancelled", "cancelled by an operator");
        rc = send_fail_row(child, &s);
    }

    if (rc == 0) {
        rc = db_commit(child);

    } else {
        db_rollback(child);
    }

    if (rc == 0) {
        printf("send %s is cancelled\n", o->id);

    } else if (rc == 1) {
        (void) send_none(o, " queued");
    }

    send_free(&s);

    return rc == 0 ? 0 : MEDIACTL_FAILED;
}
