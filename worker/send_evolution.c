/*
 * Copyright (C) ngx_media contributors
 *
 * Sending by Evolution: version 1 has its bodies nested, version 2 flat.  It
 * has no idempotency key and answers once WhatsApp has the message, so that
 * what broke on the way is looked up among its messages.
 */

#include <stdlib.h>

#include "send_body.h"


#define EVOLUTION_ANSWER_MAX  8388608   /* bytes: the message comes back, its
                                           thumbnail as JSON numbers */
#define EVOLUTION_FOUND_MAX   64
#define EVOLUTION_TYPING      3000      /* milliseconds; then it answers */


/* what a kind is called; v1 nests its members in an object */
typedef struct {
    media_kind_t  kind;
    const char   *path;
    const char   *object;
    const char   *file;                 /* member that is the file, or NULL */
    const char   *file_v1;
    const char   *media_type;           /* of sendMedia, or NULL */
} evolution_kind_t;


/* own messages that may be the one that is looked for, newest first */
typedef struct {
    const send_t     *s;
    int64_t           since;            /* unix seconds */
    size_t            n;
    char              ids[EVOLUTION_FOUND_MAX][sizeof(((send_t *) 0)
                                                      ->provider_id)];
    media_webhook_t  *wh;

    /* the array of messages within the answer */
    size_t            matched;          /* bytes of "records": */
    unsigned          depth;
    unsigned          ended:1;
    unsigned          quoted:1;
    unsigned          escaped:1;
} evolution_find_t;


static send_result_t evolution_send(child_t *child, send_t *s);
static int evolution_body(child_t *child, send_body_t *b, send_t *s,
    const evolution_kind_t *kind, send_result_t *result);
static void evolution_options(send_body_t *b, const send_t *s, bool always);
static void evolution_quoted(send_body_t *b, const send_t *s);
static void evolution_location(send_body_t *b, const send_t *s);
static int evolution_file(child_t *child, send_body_t *b, send_t *s,
    const evolution_kind_t *kind, send_result_t *result);
static send_result_t evolution_refused(send_t *s, const http_answer_t *ans);
static send_result_t evolution_bad_request(send_t *s,
    const http_answer_t *ans);
static bool evolution_mark_read(child_t *child, send_t *s,
    const char *message);
static bool evolution_typing(child_t *child, send_t *s, bool audio,
    const char *last_message);
static send_result_t evolution_look_up(child_t *child, send_t *s);
static int evolution_find(child_t *child, evolution_find_t *find,
    const char *from, const char *to);
static int evolution_find_write(void *data, const char *p, size_t len);
static void evolution_find_byte(evolution_find_t *find, char c);
static int evolution_find_item(void *data, const media_webhook_item_t *item);
static bool evolution_is_v1(const send_t *s);


const send_provider_t  send_evolution = {
    "evolution", evolution_send, evolution_look_up, evolution_mark_read,
    evolution_typing
};


static const evolution_kind_t  evolution_kinds[] = {
    { MEDIA_KIND_TEXT, "/message/sendText/{}", "textMessage", NULL, NULL,
      NULL },
    { MEDIA_KIND_IMAGE, "/message/sendMedia/{}", "mediaMessage", "media",
      "media", "image" },
    { MEDIA_KIND_VIDEO, "/message/sendMedia/{}", "mediaMessage", "media",
      "media", "video" },
    { MEDIA_KIND_AUDIO, "/message/sendMedia/{}", "mediaMessage", "media",
      "media", "audio" },
    { MEDIA_KIND_DOCUMENT, "/message/sendMedia/{}", "mediaMessage", "media",
      "media", "document" },
    { MEDIA_KIND_VOICE, "/message/sendWhatsAppAudio/{}", "audioMessage",
      "audio", "audio", NULL },
    { MEDIA_KIND_STICKER, "/message/sendSticker/{}", "stickerMessage",
      "sticker", "image", NULL },
    { MEDIA_KIND_LOCATION, "/message/sendLocation/{}", "locationMessage",
      NULL, NULL, NULL },
};


static send_result_t
evolution_send(child_t *child, send_t *s)
{
    size_t         i;
    send_body_t    b;
    send_post_t    post = { "apikey", NULL, "key.id", EVOLUTION_ANSWER_MAX,
                            evolution_refused };
    http_answer_t  ans;
    send_result_t  result;

    for (i = 0; evolution_kinds[i].kind != s->kind; i++) {
        if (i + 1 == sizeof(evolution_kinds) / sizeof(evolution_kinds[0])) {
            send_error(s, "bad_kind", "evolution cannot send this");
            return SEND_FAILED;
        }
    }

    send_body_init(&b);

    if (evolution_body(child, &b, s, &evolution_kinds[i], &result) != 0) {
        send_body_free(&b);
        return result;
    }

    post.path = evolution_kinds[i].path;

    return send_post(child, s, &post, &b, &ans);
}


static int
evolution_body(child_t *child, send_body_t *b, send_t *s,
    const evolution_kind_t *kind, send_result_t *result)
{
    int   rc;
    bool  v1;

    v1 = evolution_is_v1(s);

    if (kind->kind == MEDIA_KIND_LOCATION && !send_location_valid(s)) {
        *result = SEND_FAILED;
        return -1;
    }

    send_body_open(b, NULL);
    send_body_string(b, "number", s->chat);

    if (v1) {
        evolution_options(b, s, kind->kind == MEDIA_KIND_VOICE);
        send_body_open(b, kind->object);

    } else {
        evolution_quoted(b, s);
    }

    rc = 0;

    if (kind->kind == MEDIA_KIND_TEXT) {
        send_body_string(b, "text", s->text);

    } else if (kind->kind == MEDIA_KIND_LOCATION) {
        evolution_location(b, s);

    } else {
        rc = evolution_file(child, b, s, kind, result);
    }

    if (v1) {
        send_body_close(b);
    }

    send_body_close(b);

    return rc;
}


/* v1 reads options of a voice note without looking whether there are any */
static void
evolution_options(send_body_t *b, const send_t *s, bool always)
{
    if (!always && send_reply(s)[0] == '\0') {
        return;
    }

    send_body_open(b, "options");
    evolution_quoted(b, s);
    send_body_close(b);
}


/*
 * Given no text, Evolution looks the message up in its database.  In a group
 * it has to, as only there the author is known.
 */
static void
evolution_quoted(send_body_t *b, const send_t *s)
{
    char         jid[512];
    const char  *id;

    id = send_reply(s);

    if (id[0] == '\0') {
        return;
    }

    send_body_open(b, "quoted");
    send_body_open(b, "key");
    send_body_string(b, "id", id);

    if (s->reply_text[0] == '\0' || s->is_group) {
        send_body_close(b);
        send_body_close(b);
        return;
    }

    send_jid(jid, sizeof(jid), s->chat);
    send_body_string(b, "remoteJid", jid);
    send_body_value(b, "fromMe", s->reply_from_me ? "true" : "false");
    send_body_close(b);
    send_body_open(b, "message");
    send_body_string(b, "conversation", s->reply_text);
    send_body_close(b);
    send_body_close(b);
}


/* v2 wants name and address, too */
static void
evolution_location(send_body_t *b, const send_t *s)
{
    char         text[128];
    const char  *name, *address;

    name = send_place(s->place_name, s, text, sizeof(text));
    address = send_place(s->place_address, s, text, sizeof(text));

    send_body_value(b, "latitude", s->latitude);
    send_body_value(b, "longitude", s->longitude);
    send_body_string(b, "name", name);
    send_body_string(b, "address", address);
}


static int
evolution_file(child_t *child, send_body_t *b, send_t *s,
    const evolution_kind_t *kind, send_result_t *result)
{
    int          rc;
    char         name[SEND_NAME_MAX], link[SEND_LINK_MAX];
    const char  *member;

    member = evolution_is_v1(s) ? kind->file_v1 : kind->file;

    if (kind->media_type != NULL) {
        send_file_name(name, sizeof(name), s);
        send_body_string(b, "mediatype", kind->media_type);
        send_body_string(b, "mimetype", s->file_type);
        send_body_string(b, "fileName", name);

        if (s->text[0] != '\0' && kind->kind != MEDIA_KIND_AUDIO) {
            send_body_string(b, "caption", s->text);
        }
    }

    if (send_link(link, sizeof(link), s)) {
        send_body_string(b, member, link);
        return 0;
    }

    /* bare: a data URI is refused */
    send_body_begin(b, member);
    rc = send_body_object(child, b, s, true, result);
    send_body_add(b, "\"");

    return rc;
}


/*
 * {"status":N,"error":"...","response":{"message":X}}, where X may be a
 * string, or strings or objects in arrays.  What fails within the send, and
 * after it, is a 400; a 500 comes from what is before it: the look-up of the
 * number, and the preparation of the file.
 */
static send_result_t
evolution_refused(send_t *s, const http_answer_t *ans)
{
    char             status[16], code[64];
    answer_member_t  members[] = { { "status", status, sizeof(status) },
                                   { "code", code, sizeof(code) },
                                   { NULL, NULL, 0 } };

    send_error_members(ans->text, members);

    if (strcmp(code, "LICENSE_REQUIRED") == 0) {
        send_error(s, "license_required", "this Evolution server has not been "
                   "activated");
        s->scope = SEND_SCOPE_NUMBER;
        return SEND_STOP;
    }

    if (strtol(status, NULL, 10) != ans->status) {
        return send_status(s, ans);
    }

    if (ans->status == 400) {
        return evolution_bad_request(s, ans);
    }

    if (ans->status == 404 && strstr(ans->text, "does not exist") == NULL
        && strstr(ans->text, "Cannot POST") == NULL)
    {
        send_error(s, "not_found", "WhatsApp does not know this chat or group");
        return SEND_FAILED;
    }

    if (ans->status != 500) {
        return send_status(s, ans);
    }

    if (strstr(ans->text, "Maximum call stack") != NULL) {
        send_error(s, "file_too_large", "this version of Evolution (2.3.1 to "
                   "2.3.6) cannot take a file of this size within a request: "
                   "update it, or let it fetch files from MEDIA_PUBLIC_URL");
        return SEND_FAILED;
    }

    if (strstr(ans->text, "Connection Closed") != NULL
        || strstr(ans->text, "Cannot read properties of") != NULL)
    {
        send_error(s, "disconnected", "the number is not connected to "
                   "WhatsApp");
        s->scope = SEND_SCOPE_NUMBER;
        return SEND_RETRY;
    }

    send_error(s, "http_500", "evolution could not prepare the message");
    s->retry_after = ans->retry_after;
    return SEND_RETRY;
}


/*
 * An exception within the send is a 400, too.  It may come from what is done
 * with a message that has been sent, so only those of WhatsApp's connection
 * are known to be repeatable; the others are looked up.
 */
static send_result_t
evolution_bad_request(send_t *s, const http_answer_t *ans)
{
    size_t  i;

    static const struct {
        const char     *text;
        send_result_t   result;
        send_scope_t    scope;
        const char     *code;
        const char     *error;
    } errors[] = {
        { "\"exists\":false", SEND_FAILED, SEND_SCOPE_NONE,
          "not_on_whatsapp", "this number is not on WhatsApp" },
        { "must be a url or base64", SEND_FAILED, SEND_SCOPE_NONE,
          "bad_media", "evolution does not take this file" },
        { "Connection Closed", SEND_RETRY, SEND_SCOPE_NUMBER,
          "disconnected", "the number is not connected to WhatsApp" },
        { "Media upload failed", SEND_RETRY, SEND_SCOPE_NONE,
          "media_upload", "the file could not be uploaded to WhatsApp" },
        { "in JSON at position", SEND_FAILED, SEND_SCOPE_NONE,
          "bad_request", "evolution could not read the request" },
        { "Error:", SEND_UNKNOWN, SEND_SCOPE_NONE, "http_400",
          "evolution failed while it sent; the message may have been sent" },
        { "Error\"", SEND_UNKNOWN, SEND_SCOPE_NONE, "http_400",
          "evolution failed while it sent; the message may have been sent" },
    };

    for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        if (strstr(ans->text, errors[i].text) != NULL) {
            send_error(s, errors[i].code, "%s", errors[i].error);
            s->scope = errors[i].scope;
            s->retry_after = ans->retry_after;
            return errors[i].result;
        }
    }

    send_error(s, "bad_request", "evolution refused the message (HTTP 400)");
    return SEND_FAILED;
}


/* the address as the message came with it: ours has the ninth digit of
   Brazilian numbers, WhatsApp's may not */
static bool
evolution_mark_read(child_t *child, send_t *s, const char *message)
{
    bool         ok, v1;
    char         jid[512];
    PGresult    *res;
    const char  *params[2];
    send_body_t  b;

    static const char  sql[] =
        "SELECT metadata #>> '{key,remoteJid}' FROM media.messages"
        " WHERE instance_id = $1::bigint AND provider_id = $2"
        "   AND metadata #>> '{key,remoteJid}' <> ''";

    params[0] = s->instance;
    params[1] = message;
    res = db_exec(child, sql, 2, params);

    if (res == NULL) {
        return false;
    }

    send_jid(jid, sizeof(jid),
             PQntuples(res) > 0 ? PQgetvalue(res, 0, 0) : s->chat);
    PQclear(res);

    v1 = evolution_is_v1(s);
    send_body_init(&b);
    send_body_open(&b, NULL);
    send_body_value(&b, v1 ? "read_messages" : "readMessages", "[{");
    send_body_string(&b, "remoteJid", jid);
    send_body_value(&b, "fromMe", "false");
    send_body_string(&b, "id", message);
    send_body_add(&b, "}]}");

    ok = send_call(child, s, v1 ? "PUT" : "POST", "apikey",
                   "/chat/markMessageAsRead/{}", &b);
    send_body_free(&b);

    return ok;
}


static bool
evolution_typing(child_t *child, send_t *s, bool audio,
    const char *last_message)
{
    bool         ok, v1;
    char         delay[16];
    send_body_t  b;

    (void) last_message;

    v1 = evolution_is_v1(s);
    snprintf(delay, sizeof(delay), "%d", EVOLUTION_TYPING);

    send_body_init(&b);
    send_body_open(&b, NULL);
    send_body_string(&b, "number", s->chat);

    if (v1) {
        send_body_open(&b, "options");
    }

    send_body_value(&b, "delay", delay);
    send_body_string(&b, "presence", audio ? "recording" : "composing");
    send_body_add(&b, v1 ? "}}" : "}");

    ok = send_call(child, s, "POST", "apikey", "/chat/sendPresence/{}", &b);
    send_body_free(&b);

    return ok;
}


/*
 * Looks for the message in Evolution's database.  One that is not there may
 * have been sent all the same: the database is optional.
 */
static send_result_t
evolution_look_up(child_t *child, send_t *s)
{
    int                known, found;
    size_t             i;
    PGresult          *res;
    evolution_find_t  *find;

    static const char  sql[] =
        "SELECT floor(extract(epoch FROM sending_at))::bigint - 60,"
        "       to_char(sending_at AT TIME ZONE 'UTC' - interval '1 minute',"
        "               'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),"
        "       to_char(sending_at AT TIME ZONE 'UTC' + interval '15 minutes',"
        "               'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
        "  FROM media.sends WHERE id = $1::uuid AND sending_at IS NOT NULL";

    find = calloc(1, sizeof(evolution_find_t));
    res = db_exec(child, sql, 1, &s->id);

    if (find == NULL || res == NULL || PQntuples(res) != 1) {
        PQclear(res);
        free(find);
        return SEND_UNKNOWN;
    }

    found = 0;
    find->s = s;
    find->since = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
    known = evolution_find(child, find, PQgetvalue(res, 0, 1),
                           PQgetvalue(res, 0, 2));
    PQclear(res);

    for (i = 0; known == 0 && i < find->n; i++) {
        known = send_is_known(child, s, find->ids[i]);

        if (known == 0) {
            strcpy(s->provider_id, find->ids[i]);
            found++;
        }

        known = known < 0 ? -1 : 0;
    }

    free(find);

    return known == 0 && send_is_among(child, s, found) ? SEND_ACCEPTED
                                                        : SEND_UNKNOWN;
}


/* v1 knows no times, but there the address is what was sent to */
static int
evolution_find(child_t *child, evolution_find_t *find, const char *from,
    const char *to)
{
    int                 rc;
    bool                v1;
    char                jid[512];
    send_body_t         b;
    http_answer_t       ans;
    provider_request_t  req;
    provider_account_t  account;

    v1 = evolution_is_v1(find->s);
    send_body_init(&b);
    send_body_open(&b, NULL);
    send_body_open(&b, "where");
    send_body_open(&b, "key");
    send_body_value(&b, "fromMe", "true");

    if (v1) {
        send_jid(jid, sizeof(jid), find->s->chat);
        send_body_string(&b, "remoteJid", jid);
        send_body_add(&b, "}}}");

    } else {
        send_body_close(&b);
        send_body_open(&b, "messageTimestamp");
        send_body_string(&b, "gte", from);
        send_body_string(&b, "lte", to);
        send_body_add(&b, "}},\"page\":1,\"offset\":200}");
    }

    memset(&req, 0, sizeof(provider_request_t));
    req.method = "POST";
    req.auth = "apikey";
    req.path = "/chat/findMessages/{}";
    req.max_size = EVOLUTION_ANSWER_MAX;
    req.timeout = fetch_timeout(EVOLUTION_ANSWER_MAX);
    req.write = evolution_find_write;
    req.data = find;

    find->wh = media_webhook_create(MEDIA_PROVIDER_EVOLUTION,
                                    evolution_find_item, find);
    rc = -1;

    if (find->wh != NULL && send_body_end(&b, &req) == 0) {
        send_account(&account, find->s);
        rc = provider_perform(child, &account, &req, &ans);
        rc = rc == 0 && ans.status >= 200 && ans.status <= 299
             && media_webhook_finish(find->wh) == MEDIA_OK ? 0 : -1;
    }

    media_webhook_free(find->wh);
    send_body_free(&b);

    return rc;
}


/* hands the array on as if a webhook had brought it */
static int
evolution_find_write(void *data, const char *p, size_t len)
{
    size_t             i, start;
    evolution_find_t  *find = data;

    static const char  head[] = "{\"event\":\"messages.upsert\","
                                "\"instance\":\"\",\"data\":";

    for (i = 0, start = 0; i < len && !find->ended; i++) {

        if (find->depth > 0) {
            evolution_find_byte(find, p[i]);
            continue;
        }

        start = i;

        if (p[i] == '[' && (find->matched == 0
                            || find->matched == sizeof("\"records\":") - 1))
        {
            find->depth = 1;

            if (media_webhook_feed(find->wh, head, sizeof(head) - 1)
                != MEDIA_OK)
            {
                return -1;
            }

        } else if (p[i] != ' ' && p[i] != '\n'
                   && find->matched < sizeof("\"records\":") - 1)
        {
            find->matched = p[i] == "\"records\":"[find->matched]
                            ? find->matched + 1 : p[i] == '"';
        }
    }

    if (find->depth == 0 && !find->ended) {
        return 0;
    }

    if (i > start && media_webhook_feed(find->wh, p + start, i - start)
                     != MEDIA_OK)
    {
        return -1;
    }

    if (find->ended && find->depth == 0) {
        find->depth = 1;
        return media_webhook_feed(find->wh, "}", 1) == MEDIA_OK ? 0 : -1;
    }

    return 0;
}


static void
evolution_find_byte(evolution_find_t *find, char c)
{
    if (find->escaped) {
        find->escaped = 0;

    } else if (find->quoted) {
        find->escaped = c == '\\';
        find->quoted = c != '"';

    } else if (c == '"') {
        find->quoted = 1;

    } else if (c == '[' || c == '{') {
        find->depth++;

    } else if (c == ']' || c == '}') {
        find->depth--;
        find->ended = find->depth == 0;
    }
}


static int
evolution_find_item(void *data, const media_webhook_item_t *item)
{
    size_t             len;
    const send_t      *s;
    const char        *type;
    evolution_find_t  *find = data;

    s = find->s;
    len = strlen(s->chat);
    type = s->kind == MEDIA_KIND_VOICE ? "audio" : media_kind_name(s->kind);

    if (item->kind != MEDIA_ITEM_MESSAGE || !item->from_me
        || item->timestamp < find->since
        || item->message_id.len == 0
        || item->message_id.len >= sizeof(find->ids[0])
        || find->n == EVOLUTION_FOUND_MAX
        || !media_equal(item->type.data, item->type.len, type, strlen(type))
        || (!media_equal(item->chat.data, item->chat.len, s->chat, len)
            && !media_equal(item->chat_alt.data, item->chat_alt.len, s->chat,
                            len)))
    {
        return 1;
    }

    switch (s->kind) {
    case MEDIA_KIND_TEXT:
    case MEDIA_KIND_IMAGE:
    case MEDIA_KIND_VIDEO:
    case MEDIA_KIND_DOCUMENT:
        if (!media_equal(item->text.data, item->text.len, s->text,
                         strlen(s->text)))
        {
            return 1;
        }

        break;

    default:
        break;
    }

    memcpy(find->ids[find->n], item->message_id.data, item->message_id.len);
    find->ids[find->n++][item->message_id.len] = '\0';

    return 1;
}


static bool
evolution_is_v1(const send_t *s)
{
    return strcmp(s->api_version, "v1") == 0;
}
