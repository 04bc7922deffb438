/*
 * Copyright (C) ngx_media contributors
 *
 * Sending by W-API, which queues what it takes and sends it after a second or
 * more.  It has no idempotency key; what may have been sent is looked for in
 * the queue, and else told by webhookDelivery.
 */

#include <stdlib.h>

#include "send_body.h"


#define WAPI_QUEUE_MAX   1048576    /* bytes of an answer */
#define WAPI_QUEUE_SKEW  60         /* seconds between its clock and ours */
#define WAPI_TYPING      "15"       /* seconds */


typedef struct {
    media_kind_t  kind;
    const char   *path;
    const char   *file;             /* member, or NULL */
    unsigned      caption:1;
    unsigned      link:1;           /* may be fetched by W-API */
} wapi_kind_t;


/* one message of the queue, and the one that is looked for */
typedef struct {
    child_t       *child;
    const send_t  *s;
    media_json_t  *json;
    int64_t        since;           /* milliseconds */
    unsigned       depth;
    char          *value;           /* of the member that is read, or NULL */
    size_t         size;
    char           type[32];
    char           phone[128];
    char           id[256];
    char           created[32];
    char           message[MEDIA_UPLOAD_CAPTION_MAX + 1];
    char           found[256];      /* the first one's id */
    int            n;               /* that may be the one */
} wapi_find_t;


static send_result_t wapi_send(child_t *child, send_t *s);
static int wapi_body(child_t *child, send_body_t *b, send_t *s,
    const wapi_kind_t *kind, send_result_t *result);
static int wapi_file(child_t *child, send_body_t *b, send_t *s,
    const wapi_kind_t *kind, send_result_t *result);
static send_result_t wapi_refused(send_t *s, const http_answer_t *ans);
static send_result_t wapi_look_up(child_t *child, send_t *s);
static int wapi_find_write(void *data, const char *p, size_t len);
static int wapi_find_key(void *data, const char *p, size_t len);
static int wapi_find_value(void *data, const char *p, size_t len);
static int wapi_find_start(void *data);
static int wapi_find_end(void *data);
static bool wapi_find_match(const wapi_find_t *find);
static bool wapi_mark_read(child_t *child, send_t *s, const char *message);
static bool wapi_typing(child_t *child, send_t *s, bool audio,
    const char *last_message);


const send_provider_t  send_wapi = {
    "wapi", wapi_send, wapi_look_up, wapi_mark_read, wapi_typing
};


/* links of audio that do not end in .mp3 or .ogg are refused; ours end in a
   signature */
static const wapi_kind_t  wapi_kinds[] = {
    { MEDIA_KIND_TEXT, "/message/send-text?instanceId={}", NULL, 0, 0 },
    { MEDIA_KIND_IMAGE, "/message/send-image?instanceId={}", "image", 1, 1 },
    { MEDIA_KIND_AUDIO, "/message/send-audio?instanceId={}", "audio", 0, 0 },
    { MEDIA_KIND_VOICE, "/message/send-audio?instanceId={}", "audio", 0, 0 },
    { MEDIA_KIND_VIDEO, "/message/send-video?instanceId={}", "video", 1, 1 },
    { MEDIA_KIND_DOCUMENT, "/message/send-document?instanceId={}", "document",
      1, 1 },
    { MEDIA_KIND_STICKER, "/message/send-sticker?instanceId={}", "sticker",
      0, 1 },
    { MEDIA_KIND_LOCATION, "/message/send-location?instanceId={}", NULL,
      0, 0 },
};

static const media_json_handler_t  wapi_find_handler = {
    .number = wapi_find_value,
    .string = wapi_find_value,
    .start_map = wapi_find_start,
    .map_key = wapi_find_key,
    .end_map = wapi_find_end,
    .start_array = wapi_find_start,
    .end_array = wapi_find_end,
};


static send_result_t
wapi_send(child_t *child, send_t *s)
{
    size_t         i;
    send_body_t    b;
    send_post_t    post = { "Authorization", NULL, "messageId",
                            PROVIDER_ANSWER_MAX, wapi_refused };
    http_answer_t  ans;
    send_result_t  result;

    for (i = 0; wapi_kinds[i].kind != s->kind; i++) {
        if (i + 1 == sizeof(wapi_kinds) / sizeof(wapi_kinds[0])) {
            send_error(s, "bad_kind", "wapi cannot send this");
            return SEND_FAILED;
        }
    }

    send_body_init(&b);

    if (wapi_body(child, &b, s, &wapi_kinds[i], &result) != 0) {
        send_body_free(&b);
        return result;
    }

    post.path = wapi_kinds[i].path;

    return send_post(child, s, &post, &b, &ans);
}


static int
wapi_body(child_t *child, send_body_t *b, send_t *s, const wapi_kind_t *kind,
    send_result_t *result)
{
    int   rc;
    char  text[128];

    if (kind->kind == MEDIA_KIND_LOCATION && !send_location_valid(s)) {
        *result = SEND_FAILED;
        return -1;
    }

    rc = 0;
    send_body_open(b, NULL);
    send_body_string(b, "phone", s->chat);

    if (kind->kind == MEDIA_KIND_TEXT) {
        send_body_string(b, "message", s->text);

    } else if (kind->kind == MEDIA_KIND_LOCATION) {
        send_body_string(b, "name",
                         send_place(s->place_name, s, text, sizeof(text)));
        send_body_string(b, "address",
                         send_place(s->place_address, s, text, sizeof(text)));
        send_body_string(b, "latitude", s->latitude);
        send_body_string(b, "longitude", s->longitude);

    } else {
        rc = wapi_file(child, b, s, kind, result);
    }

    if (send_reply(s)[0] != '\0') {
        send_body_string(b, "messageId", send_reply(s));
    }

    send_body_close(b);

    return rc;
}


static int
wapi_file(child_t *child, send_body_t *b, send_t *s, const wapi_kind_t *kind,
    send_result_t *result)
{
    int          rc;
    char         name[SEND_NAME_MAX], link[SEND_LINK_MAX], *dst;
    const char  *p;

    if (kind->kind == MEDIA_KIND_DOCUMENT) {
        send_file_name(name, sizeof(name), s);
        send_body_string(b, "extension", send_extension(name));
        send_body_string(b, "fileName", name);
    }

    if (kind->caption && s->text[0] != '\0') {
        send_body_string(b, "caption", s->text);
    }

    if (kind->link && send_link(link, sizeof(link), s)) {
        send_body_string(b, kind->file, link);
        return 0;
    }

    /* "data:audio/ogg;codecs=opus;base64,..." */
    for (p = s->file_type, dst = name; *p != '\0'; p++) {
        if (*p != ' ' && *p != '"' && *p != '\\') {
            *dst++ = *p;
        }
    }

    *dst = '\0';

    send_body_begin(b, kind->file);
    send_body_add(b, "data:");
    send_body_add(b, name);
    send_body_add(b, ";base64,");
    rc = send_body_object(child, b, s, true, result);
    send_body_add(b, "\"");

    return rc;
}


/*
 * {"error":true,"message":X}: X is a string, or an object with one in it,
 * whose own "error" may be false.  What is not JSON is a proxy's.
 */
static send_result_t
wapi_refused(send_t *s, const http_answer_t *ans)
{
    char             words[256], plain[256], nested[256], deeper[256];
    const char      *text;
    answer_member_t  members[] = {
        { "message", plain, sizeof(plain) },
        { "message.message", nested, sizeof(nested) },
        { "message.data.message", deeper, sizeof(deeper) },
        { NULL, NULL, 0 }
    };

    /* the number works all the same */
    if (s->kind == MEDIA_KIND_STICKER && ans->status == 404) {
        send_error(s, "http_404", "wapi cannot send stickers from this number:"
                   " its plan (LITE) does not have them");
        return SEND_FAILED;
    }

    send_error_members(ans->text, members);
    text = plain[0] != '\0' ? plain : nested[0] != '\0' ? nested : deeper;

    if (text[0] == '\0' || (ans->status != 400 && ans->status != 422
                            && ans->status != 500))
    {
        return send_status(s, ans);
    }

    send_words(words, sizeof(words), s, text);
    send_error(s, ans->status == 500 ? "http_500" : "bad_request",
               "wapi refused the message%s%s", words[0] != '\0' ? ": " : "",
               words);
    s->retry_after = ans->retry_after;

    return ans->status == 500 ? SEND_RETRY : SEND_FAILED;
}


static send_result_t
wapi_look_up(child_t *child, send_t *s)
{
    int                   found;
    PGresult             *res;
    wapi_find_t          *find;
    http_answer_t         ans;
    provider_account_t    account;
    provider_request_t    req;
    media_json_limits_t   limits;

    static const char  sql[] =
        "SELECT floor(extract(epoch FROM sending_at))::bigint"
        "  FROM media.sends WHERE id = $1::uuid AND sending_at IS NOT NULL";

    limits.depth = ANSWER_DEPTH;
    limits.string = MEDIA_UPLOAD_CAPTION_MAX;

    find = calloc(1, sizeof(wapi_find_t));
    res = db_exec(child, sql, 1, &s->id);

    if (find == NULL || res == NULL || PQntuples(res) != 1
        || (find->json = media_json_create(&wapi_find_handler, &limits, find))
           == NULL)
    {
        PQclear(res);
        free(find);
        return SEND_UNKNOWN;
    }

    find->child = child;
    find->s = s;
    find->since = (strtoll(PQgetvalue(res, 0, 0), NULL, 10) - WAPI_QUEUE_SKEW)
                  * 1000;
    PQclear(res);

    memset(&req, 0, sizeof(provider_request_t));
    req.method = "GET";
    req.auth = "Authorization";
    req.path = "/quere/quere?instanceId={}&perPage=100&page=1";
    req.body_fd = -1;
    req.max_size = WAPI_QUEUE_MAX;
    req.timeout = fetch_timeout(0);
    req.write = wapi_find_write;
    req.data = find;
    send_account(&account, s);

    (void) provider_perform(child, &account, &req, &ans);
    strcpy(s->provider_id, find->found);
    found = find->n;
    media_json_free(find->json);
    free(find);

    return send_is_among(child, s, found) ? SEND_ACCEPTED : SEND_UNKNOWN;
}


static int
wapi_find_write(void *data, const char *p, size_t len)
{
    wapi_find_t  *find = data;

    return media_json_feed(find->json, p, len) == MEDIA_OK ? 0 : -1;
}


/* the answer, its array of messages, a message */
static int
wapi_find_key(void *data, const char *p, size_t len)
{
    size_t        i;
    wapi_find_t  *find = data;

    const answer_member_t  members[] = {
        { "type", find->type, sizeof(find->type) },
        { "phone", find->phone, sizeof(find->phone) },
        { "MessageId", find->id, sizeof(find->id) },
        { "messageId", find->id, sizeof(find->id) },
        { "created", find->created, sizeof(find->created) },
        { "message", find->message, sizeof(find->message) },
    };

    find->value = NULL;

    for (i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        if (find->depth == 3 && strlen(members[i].name) == len
            && memcmp(members[i].name, p, len) == 0)
        {
            find->value = members[i].value;
            find->size = members[i].size;
        }
    }

    return 1;
}


static int
wapi_find_value(void *data, const char *p, size_t len)
{
    wapi_find_t  *find = data;

    if (find->value != NULL && find->depth == 3 && len < find->size) {
        memcpy(find->value, p, len);
        find->value[len] = '\0';
    }

    return 1;
}


static int
wapi_find_start(void *data)
{
    wapi_find_t  *find = data;

    if (++find->depth == 3) {
        find->type[0] = '\0';
        find->phone[0] = '\0';
        find->id[0] = '\0';
        find->created[0] = '\0';
        find->message[0] = '\0';
    }

    find->value = NULL;

    return 1;
}


static int
wapi_find_end(void *data)
{
    wapi_find_t  *find = data;

    if (find->depth-- == 3 && wapi_find_match(find)
        && send_is_known(find->child, find->s, find->id) == 0)
    {
        find->n++;

        if (find->n == 1) {
            strcpy(find->found, find->id);
        }
    }

    find->value = NULL;

    return 1;
}


static bool
wapi_find_match(const wapi_find_t *find)
{
    const char    *type;
    const send_t  *s;

    s = find->s;
    type = s->kind == MEDIA_KIND_VOICE ? "audio" : media_kind_name(s->kind);

    return find->id[0] != '\0'
           && strcmp(find->type, type) == 0
           && strcmp(find->phone, s->chat) == 0
           && strtoll(find->created, NULL, 10) >= find->since
           && (s->kind != MEDIA_KIND_TEXT
               || strcmp(find->message, s->text) == 0);
}


static bool
wapi_mark_read(child_t *child, send_t *s, const char *message)
{
    bool         ok;
    send_body_t  b;

    send_body_init(&b);
    send_body_open(&b, NULL);
    send_body_string(&b, "phone", s->chat);
    send_body_string(&b, "messageId", message);
    send_body_close(&b);

    ok = send_call(child, s, "POST", "Authorization",
                   "/message/read-message?instanceId={}", &b);
    send_body_free(&b);

    return ok;
}


static bool
wapi_typing(child_t *child, send_t *s, bool audio, const char *last_message)
{
    bool         ok;
    send_body_t  b;

    (void) last_message;

    send_body_init(&b);
    send_body_open(&b, NULL);
    send_body_string(&b, "phone", s->chat);
    send_body_string(&b, "presence", audio ? "recording" : "composing");
    send_body_value(&b, "delay", WAPI_TYPING);
    send_body_close(&b);

    ok = send_call(child, s, "POST", "Authorization",
                   "/chats/send-presence?instanceId={}", &b);
    send_body_free(&b);

    return ok;
}
