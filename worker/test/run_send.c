/*
 * Copyright (C) ngx_media contributors
 *
 * One call of a provider's functions, for t/send-*.t: the environment
 * configures it like media-worker.
 *
 *     run_send send|look_up|read|typing JSON
 *
 * JSON has the members of send_t, all strings.  Prints what became of it as a
 * JSON object, numbers as strings, with the state that the row was left in.
 * Other workers leave the row alone: its conversation is locked meanwhile, as
 * the ledger does, and afterwards it is queued, and not ready.
 */

#include <stdlib.h>

#include "provider.h"
#include "run_status.h"
#include "send.h"


#define RUN_MEMBERS  40
#define RUN_SIZE     32768


static char  run_values[RUN_MEMBERS][RUN_SIZE];

static const char *const  run_names[] = {
    "id", "tenant", "conversation", "message", "attachment", "instance",
    "provider", "name", "base_url", "token", "api_version", "chat", "text",
    "latitude", "longitude", "place_name", "place_address", "reply_id",
    "reply_text", "file_name", "kind", "attempts", "is_group",
    "reply_from_me", "file_key", "file_type", "file_size", "message_id",
    "audio", NULL
};


static const char *run_value(const char *name);
static int run_read(const char *json);
static void run_fill(send_t *s);
static int run_row(child_t *child, const char *sql, const char *param,
    char *value, size_t size);
static void run_print(const char *name, const char *value, bool last);


int
main(int argc, char **argv)
{
    bool                    ok;
    char                    state[16];
    send_t                  s;
    child_t                 child;
    send_result_t           result;
    const send_provider_t  *p;

    static const char *const  results[] = { "accepted", "retry", "failed",
                                            "stop", "unknown", "again" };
    static const char *const  scopes[] = { "none", "pair", "number" };

    if (argc != 3 || conf_load() != 0 || log_open() != 0
        || run_read(argv[2]) != 0)
    {
        return 2;
    }

    memset(&child, 0, sizeof(child_t));
    child.queue = "test";
    curl_global_init(CURL_GLOBAL_DEFAULT);
    child.curl = curl_easy_init();
    run_fill(&s);
    p = send_provider(s.provider);

    if (p == NULL) {
        return 2;
    }

    if (run_row(&child, "SELECT pg_advisory_lock(7306, $1::int)",
                s.conversation, NULL, 0) != 0)
    {
        return 2;
    }

    result = SEND_UNKNOWN;
    ok = false;

    if (strcmp(argv[1], "send") == 0) {
        result = p->send(&child, &s);

    } else if (strcmp(argv[1], "look_up") == 0) {
        result = p->look_up != NULL ? p->look_up(&child, &s) : SEND_UNKNOWN;

    } else if (strcmp(argv[1], "read") == 0) {
        ok = p->mark_read(&child, &s, run_value("message_id"));

    } else {
        ok = p->typing(&child, &s, run_value("audio")[0] != '\0',
                       run_value("message_id"));
    }

    if (run_row(&child, "WITH old AS (SELECT id, state FROM media.sends"
                "   WHERE id = $1::uuid)"
                " UPDATE media.sends s SET state = 'queued', ready = false"
                "   FROM old WHERE s.id = old.id RETURNING old.state",
                s.id, state, sizeof(state)) != 0)
    {
        return 2;
    }

    printf("{");
    run_print("rss", log_fmt("%ld", run_status("VmHWM:")), false);
    run_print("state", state, false);
    run_print("result", results[result], false);
    run_print("scope", scopes[s.scope], false);
    run_print("ok", ok ? "1" : "0", false);
    run_print("retry_after", log_fmt("%d", s.retry_after), false);
    run_print("provider_id", s.provider_id, false);
    run_print("error_code", s.error_code, false);
    run_print("error", s.error, true);
    printf("}\n");

    PQfinish(child.db);
    curl_easy_cleanup(child.curl);
    curl_global_cleanup();

    return fflush(stdout) == 0 ? 0 : 1;
}


static int
run_read(const char *json)
{
    size_t           i;
    answer_t         answer;
    answer_member_t  members[RUN_MEMBERS];

    for (i = 0; run_names[i] != NULL; i++) {
        members[i].name = run_names[i];
        members[i].value = run_values[i];
        members[i].size = RUN_SIZE;
    }

    members[i].name = NULL;

    if (answer_open(&answer, members, NULL, NULL, NULL) != 0
        || answer_write(&answer, json, strlen(json)) != 0)
    {
        return -1;
    }

    return answer_close(&answer);
}


static const char *
run_value(const char *name)
{
    size_t  i;

    for (i = 0; run_names[i] != NULL && strcmp(run_names[i], name) != 0; i++)
    {
        /* void */
    }

    return run_values[i];
}


static void
run_fill(send_t *s)
{
    media_str_t  kind;

    memset(s, 0, sizeof(send_t));
    media_str_set(&kind, run_value("kind"), strlen(run_value("kind")));

    s->id = run_value("id");
    s->tenant = run_value("tenant");
    s->conversation = run_value("conversation");
    s->message = run_value("message");
    s->kind = media_kind_by_name(kind);
    s->attempts = atoi(run_value("attempts"));
    s->instance = run_value("instance");
    s->provider = run_value("provider");
    s->name = run_value("name");
    s->base_url = run_value("base_url");
    s->token = run_value("token");
    s->api_version = run_value("api_version");
    s->chat = run_value("chat");
    s->is_group = run_value("is_group")[0] != '\0';
    s->text = run_value("text");
    s->latitude = run_value("latitude");
    s->longitude = run_value("longitude");
    s->place_name = run_value("place_name");
    s->place_address = run_value("place_address");
    s->reply_id = run_value("reply_id");
    s->reply_text = run_value("reply_text");
    s->reply_from_me = run_value("reply_from_me")[0] != '\0';
    s->file_name = run_value("file_name");
    snprintf(s->file_key, sizeof(s->file_key), "%.1000s",
             run_value("file_key"));
    snprintf(s->file_type, sizeof(s->file_type), "%.99s",
             run_value("file_type"));
    s->file_size = atoll(run_value("file_size"));

    if (s->file_key[0] != '\0') {
        s->attachment = run_value("attachment");
    }
}


/* the first value of one row, unless value is NULL */
static int
run_row(child_t *child, const char *sql, const char *param, char *value,
    size_t size)
{
    int        rc;
    PGresult  *res;

    res = db_exec(child, sql, 1, &param);
    rc = res != NULL && PQntuples(res) == 1 ? 0 : -1;

    if (rc == 0 && value != NULL) {
        snprintf(value, size, "%s", PQgetvalue(res, 0, 0));
    }

    PQclear(res);

    return rc;
}


static void
run_print(const char *name, const char *value, bool last)
{
    char  text[6 * sizeof(((send_t *) 0)->error)];

    if (provider_json(text, sizeof(text), value) >= 0) {
        printf("\"%s\":\"%s\"%s", name, text, last ? "" : ",");
    }
}
