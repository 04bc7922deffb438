/*
 * Copyright (C) ngx_media contributors
 *
 * The providers that can send, and what is the same for all of them: the one
 * request that sends, which is never repeated here, and what its answer means
 * as far as HTTP tells.
 */

#include <ctype.h>
#include <stdlib.h>

#include "send_body.h"


#define SEND_TIME_PIECE  262144     /* bytes; a provider passes a file on to
                                       WhatsApp before it answers */


static bool send_decimal(const char *s, double limit);
static bool send_perform(child_t *child, send_t *s, provider_request_t *req,
    http_answer_t *ans, send_result_t *result);


const send_provider_t *
send_provider(const char *name)
{
    size_t  i;

    static const send_provider_t *const  providers[] = {
        &send_evolution, &send_wapi, &send_cloudapi
    };

    for (i = 0; i < sizeof(providers) / sizeof(providers[0]); i++) {
        if (strcmp(providers[i]->provider, name) == 0) {
            return providers[i];
        }
    }

    return NULL;
}


void
send_account(provider_account_t *account, const send_t *s)
{
    account->base_url = s->base_url;
    account->name = s->name;
    account->token = s->token;
}


void
send_jid(char *dst, size_t size, const char *chat)
{
    snprintf(dst, size, "%s%s", chat,
             strchr(chat, '@') == NULL ? "@s.whatsapp.net" : "");
}


const char *
send_reply(const send_t *s)
{
    return strncmp(s->reply_id, "send:", 5) == 0 ? "" : s->reply_id;
}


bool
send_location_valid(send_t *s)
{
    if (send_decimal(s->latitude, 90) && send_decimal(s->longitude, 180)) {
        return true;
    }

    send_error(s, "bad_location", "latitude and longitude must be decimal "
               "degrees, -90 to 90 and -180 to 180");
    return false;
}


/* a JSON number without an exponent */
static bool
send_decimal(const char *s, double limit)
{
    size_t       n;
    double       value;
    const char  *p;

    p = *s == '-' ? s + 1 : s;
    n = strspn(p, "0123456789");

    if (n == 0 || (n > 1 && *p == '0')) {
        return false;
    }

    p += n;

    if (*p == '.') {
        n = strspn(p + 1, "0123456789");
        p += n > 0 ? n + 1 : 0;
    }

    value = strtod(s, NULL);

    return *p == '\0' && value >= -limit && value <= limit;
}


const char *
send_place(const char *text, const send_t *s, char *dst, size_t size)
{
    if (text[0] != '\0') {
        return text;
    }

    snprintf(dst, size, "%s, %s", s->latitude, s->longitude);
    return dst;
}


send_result_t
send_post(child_t *child, send_t *s, const send_post_t *post, send_body_t *b,
    http_answer_t *ans)
{
    int                 rc;
    char                id[sizeof(s->provider_id)];
    answer_t            answer;
    send_result_t       result;
    answer_member_t     members[] = { { post->id, id, sizeof(id) },
                                      { NULL, NULL, 0 } };
    provider_request_t  req;

    memset(ans, 0, sizeof(http_answer_t));
    memset(&req, 0, sizeof(provider_request_t));
    req.method = "POST";
    req.auth = post->auth;
    req.path = post->path;
    req.max_size = post->max_size;
    req.write = answer_write;
    req.data = &answer;

    if (send_body_end(b, &req) != 0
        || answer_open(&answer, members, NULL, NULL, NULL) != 0)
    {
        send_body_free(b);
        send_error(s, "memory", "no memory for the request");
        return SEND_AGAIN;
    }

    if (send_perform(child, s, &req, ans, &result)) {
        result = ans->status >= 200 && ans->status <= 299
                 ? SEND_ACCEPTED : post->refused(s, ans);
    }

    rc = answer_close(&answer);
    send_body_free(b);

    if (result != SEND_ACCEPTED) {
        return result;
    }

    if (rc != 0 || id[0] == '\0') {
        send_error(s, "no_id", "%s answered without the id of a message; it "
                   "may have been sent", s->provider);
        return SEND_UNKNOWN;
    }

    strcpy(s->provider_id, id);
    return SEND_ACCEPTED;
}


/* after send_written(); true if there was an answer, of any status */

static bool
send_perform(child_t *child, send_t *s, provider_request_t *req,
    http_answer_t *ans, send_result_t *result)
{
    provider_account_t  account;

    if (send_written(child, s) != 0) {
        send_error(s, "database", "the send could not be recorded");
        *result = SEND_AGAIN;
        return false;
    }

    send_account(&account, s);
    req->once = 1;
    req->timeout = 2 * fetch_timeout(0)
                   + (int) ((req->body_size + s->file_size) / SEND_TIME_PIECE);

    if (provider_perform(child, &account, req, ans) == 0) {
        return true;
    }

    *result = send_no_answer(s, ans, ans->written);
    return false;
}


bool
send_call(child_t *child, const send_t *s, const char *method,
    const char *auth, const char *path, send_body_t *b)
{
    http_answer_t       ans;
    provider_request_t  req;
    provider_account_t  account;

    memset(&req, 0, sizeof(provider_request_t));
    req.method = method;
    req.auth = auth;
    req.path = path;
    req.max_size = PROVIDER_ANSWER_MAX;
    req.timeout = fetch_timeout(0);
    send_account(&account, s);

    return send_body_end(b, &req) == 0
           && provider_perform(child, &account, &req, &ans) == 0
           && ans.status >= 200 && ans.status <= 299;
}


int
send_is_known(child_t *child, const send_t *s, const char *id)
{
    int          known;
    PGresult    *res;
    const char  *params[4];

    static const char  sql[] =
        "SELECT 1 FROM media.messages WHERE instance_id = $1::bigint"
        "   AND provider_id = $2 AND id IS DISTINCT FROM $3::bigint"
        " UNION ALL SELECT 1 FROM media.sends WHERE instance_id = $1::bigint"
        "   AND provider_id = $2 AND id <> $4::uuid LIMIT 1";

    params[0] = s->instance;
    params[1] = id;
    params[2] = s->message;
    params[3] = s->id;
    res = db_exec(child, sql, 4, params);

    if (res == NULL) {
        return -1;
    }

    known = PQntuples(res) > 0;
    PQclear(res);

    return known;
}


bool
send_is_among(child_t *child, const send_t *s, int found)
{
    bool       among;
    PGresult  *res;

    static const char  sql[] =
        "SELECT count(*) FROM media.sends s JOIN media.sends o"
        "    ON o.conversation_id = s.conversation_id AND o.kind = s.kind"
        "   AND coalesce(o.body->>'text', '') = coalesce(s.body->>'text', '')"
        " WHERE s.id = $1::uuid AND s.kind <> 'text' AND o.id <> s.id"
        "   AND o.state IN ('sending', 'unknown') AND o.provider_id = ''";

    res = found > 0 ? db_exec(child, sql, 1, &s->id) : NULL;
    among = res != NULL && found > atoi(PQgetvalue(res, 0, 0));
    PQclear(res);

    return among;
}


send_result_t
send_no_answer(send_t *s, const http_answer_t *ans, bool written)
{
    if (ans->refused) {
        send_error(s, "bad_address", "the address of %s (base_url) is not "
                   "valid: %s", s->provider, ans->error);
        s->scope = SEND_SCOPE_NUMBER;
        return SEND_STOP;
    }

    if (!written) {
        send_error(s, "unreachable", "%s could not be reached: %s",
                   s->provider, ans->error);
        s->scope = SEND_SCOPE_NUMBER;
        return SEND_RETRY;
    }

    send_error(s, "no_answer", "%s did not answer (%s); the message may have "
               "been sent", s->provider, ans->error);
    return SEND_UNKNOWN;
}


/*
 * What comes from a server in front of the provider.  A gateway's 5xx tells
 * nothing about what became of the request behind it, and nor does a 408.
 */
send_result_t
send_status(send_t *s, const http_answer_t *ans)
{
    size_t  i;
    char    code[16];

    static const struct {
        int            min, max;
        send_result_t  result;
        send_scope_t   scope;
        const char    *text;
    } statuses[] = {
        { 300, 399, SEND_STOP, SEND_SCOPE_NUMBER,
          "redirects requests: check base_url" },
        { 401, 401, SEND_STOP, SEND_SCOPE_NUMBER,
          "refused the token: check it" },
        { 403, 403, SEND_STOP, SEND_SCOPE_NUMBER,
          "refused access: check the token and the account" },
        { 404, 405, SEND_STOP, SEND_SCOPE_NUMBER,
          "does not know this instance: check its name and base_url" },
        { 408, 408, SEND_UNKNOWN, SEND_SCOPE_NONE,
          "timed out; the message may have been sent" },
        { 413, 413, SEND_FAILED, SEND_SCOPE_NONE,
          "refused the file: it is too large" },
        { 429, 429, SEND_RETRY, SEND_SCOPE_NUMBER,
          "takes no more requests for now" },
        { 400, 499, SEND_FAILED, SEND_SCOPE_NONE, "refused the message" },
        { 500, 599, SEND_UNKNOWN, SEND_SCOPE_NONE,
          "failed; the message may have been sent" },
    };

    snprintf(code, sizeof(code), "http_%ld", ans->status);
    s->retry_after = ans->retry_after;

    for (i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        if (ans->status >= statuses[i].min && ans->status <= statuses[i].max) {
            send_error(s, code, "%s %s (HTTP %ld)", s->provider,
                       statuses[i].text, ans->status);
            s->scope = statuses[i].scope;
            return statuses[i].result;
        }
    }

    send_error(s, code, "%s gave an answer that is not known (HTTP %ld); the "
               "message may have been sent", s->provider, ans->status);
    return SEND_UNKNOWN;
}


void
send_words(char *dst, size_t size, const send_t *s, const char *text)
{
    size_t       i, n, len;
    const char  *private[] = { s->token, s->text, s->chat, s->reply_text,
                               s->place_address };

    dst[0] = '\0';

    for (i = 0; i < sizeof(private) / sizeof(private[0]); i++) {
        if (strlen(private[i]) > 3 && strstr(text, private[i]) != NULL) {
            return;
        }
    }

    for (n = 0; *text != '\0' && n + 4 < size; text += len) {
        len = strspn(text, "0123456789");

        if (len > 4) {
            memcpy(dst + n, "***", 3);
            n += 3;
            continue;
        }

        len = 1;
        dst[n++] = (unsigned char) *text < 0x20 ? ' ' : *text;
    }

    /* not in the middle of a character */
    while (*text != '\0' && n > 0 && ((unsigned char) *text & 0xc0) == 0x80) {
        n--;
        text--;
    }

    dst[n] = '\0';
}


void
send_error_members(const char *text, const answer_member_t *members)
{
    answer_t  answer;

    if (answer_open(&answer, members, NULL, NULL, NULL) == 0) {
        (void) answer_write(&answer, text, strlen(text));
        (void) answer_close(&answer);
    }
}
