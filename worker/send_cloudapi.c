/*
 * Copyright (C) ngx_media contributors
 *
 * Sending by the Cloud API: a file is uploaded first and sent by the id it
 * then has, which is kept for as long as Meta keeps the file.  What may have
 * been sent is told by statuses, which carry the send's id.
 */

#include <openssl/rand.h>

#include "send_cloudapi.h"


#define CLOUDAPI_MEDIA_KEPT   "29 days"     /* Meta: 30 */
#define CLOUDAPI_TEXT_MAX     4096          /* characters */
#define CLOUDAPI_CAPTION_MAX  1024
#define CLOUDAPI_ID_MAX       256


static send_result_t cloudapi_send(child_t *child, send_t *s);
static send_result_t cloudapi_post(child_t *child, send_t *s,
    const char *media_id, http_answer_t *ans);
static void cloudapi_body(send_body_t *b, const send_t *s,
    const char *media_id);
static void cloudapi_recipient(send_body_t *b, const send_t *s);
static void cloudapi_content(send_body_t *b, const send_t *s,
    const char *media_id);
static bool cloudapi_fits(send_t *s);
static int cloudapi_media_kept(child_t *child, const send_t *s, char *id,
    size_t size);
static void cloudapi_media_keep(child_t *child, const send_t *s,
    const char *id);
static int cloudapi_media_drop(child_t *child, const send_t *s);
static send_result_t cloudapi_upload(child_t *child, send_t *s, char *id,
    size_t size);
static int cloudapi_multipart(child_t *child, send_body_t *b, send_t *s,
    char *type, size_t size, send_result_t *result);
static bool cloudapi_mark_read(child_t *child, send_t *s,
    const char *message);
static bool cloudapi_typing(child_t *child, send_t *s, bool audio,
    const char *last_message);
static bool cloudapi_read(child_t *child, send_t *s, const char *message,
    bool typing);


const send_provider_t  send_cloudapi = {
    "cloudapi", cloudapi_send, NULL, cloudapi_mark_read, cloudapi_typing
};


static send_result_t
cloudapi_send(child_t *child, send_t *s)
{
    int            kept;
    char           id[CLOUDAPI_ID_MAX];
    http_answer_t  ans;
    send_result_t  result;

    if (!cloudapi_fits(s)) {
        return SEND_FAILED;
    }

    if (s->file_key[0] == '\0') {
        return cloudapi_post(child, s, NULL, &ans);
    }

    kept = cloudapi_media_kept(child, s, id, sizeof(id));

    if (kept == -1) {
        send_error(s, "database", "the file's id could not be read");
        return SEND_AGAIN;
    }

    if (kept == 0) {
        result = cloudapi_upload(child, s, id, sizeof(id));

        return result == SEND_ACCEPTED
               ? cloudapi_post(child, s, id, &ans) : result;
    }

    result = cloudapi_post(child, s, id, &ans);

    if (result == SEND_ACCEPTED || !cloudapi_media_unknown(&ans))
    {
        return result;
    }

    if (cloudapi_media_drop(child, s) != 0) {
        return result;
    }

    s->scope = SEND_SCOPE_NONE;
    s->retry_after = 0;
    s->error_code[0] = '\0';
    s->error[0] = '\0';
    result = cloudapi_upload(child, s, id, sizeof(id));

    return result == SEND_ACCEPTED
           ? cloudapi_post(child, s, id, &ans) : result;
}


static send_result_t
cloudapi_post(child_t *child, send_t *s, const char *media_id,
    http_answer_t *ans)
{
    send_body_t  b;

    static const send_post_t  post = {
        "Authorization", "/{}/messages", "messages.id", PROVIDER_ANSWER_MAX,
        cloudapi_refused
    };

    send_body_init(&b);
    cloudapi_body(&b, s, media_id);

    return send_post(child, s, &post, &b, ans);
}


static void
cloudapi_body(send_body_t *b, const send_t *s, const char *media_id)
{
    const char  *type;

    type = s->kind == MEDIA_KIND_VOICE ? "audio" : media_kind_name(s->kind);

    send_body_open(b, NULL);
    send_body_string(b, "messaging_product", "whatsapp");
    cloudapi_recipient(b, s);
    send_body_string(b, "type", type);

    if (send_reply(s)[0] != '\0') {
        send_body_open(b, "context");
        send_body_string(b, "message_id", send_reply(s));
        send_body_close(b);
    }

    send_body_string(b, "biz_opaque_callback_data", s->id);
    send_body_open(b, type);
    cloudapi_content(b, s, media_id);
    send_body_close(b);
    send_body_close(b);
}


/* a business-scoped user id ("BR.1A2B...") has a member of its own */
static void
cloudapi_recipient(send_body_t *b, const send_t *s)
{
    bool  user;

    user = strspn(s->chat, "0123456789") < strlen(s->chat) && !s->is_group;

    send_body_string(b, "recipient_type", s->is_group ? "group"
                                                      : "individual");
    send_body_string(b, user ? "recipient" : "to", s->chat);
}


static void
cloudapi_content(send_body_t *b, const send_t *s, const char *media_id)
{
    char  name[SEND_NAME_MAX];

    if (s->kind == MEDIA_KIND_TEXT) {
        send_body_string(b, "body", s->text);
        send_body_value(b, "preview_url", "true");
        return;
    }

    if (s->kind == MEDIA_KIND_LOCATION) {
        send_body_value(b, "latitude", s->latitude);
        send_body_value(b, "longitude", s->longitude);

        if (s->place_name[0] != '\0') {
            send_body_string(b, "name", s->place_name);
        }

        if (s->place_address[0] != '\0') {
            send_body_string(b, "address", s->place_address);
        }

        return;
    }

    send_body_string(b, "id", media_id);

    if (s->kind == MEDIA_KIND_VOICE) {
        send_body_value(b, "voice", "true");
    }

    if (s->text[0] != '\0' && (s->kind == MEDIA_KIND_IMAGE
                               || s->kind == MEDIA_KIND_VIDEO
                               || s->kind == MEDIA_KIND_DOCUMENT))
    {
        send_body_string(b, "caption", s->text);
    }

    if (s->kind == MEDIA_KIND_DOCUMENT) {
        send_file_name(name, sizeof(name), s);
        send_body_string(b, "filename", name);
    }
}


/* the API would say so itself, but to nobody who can read its words */
static bool
cloudapi_fits(send_t *s)
{
    size_t       n, max;
    const char  *p;

    if (s->kind == MEDIA_KIND_LOCATION) {
        return send_location_valid(s);
    }

    max = s->kind == MEDIA_KIND_TEXT ? CLOUDAPI_TEXT_MAX
                                     : CLOUDAPI_CAPTION_MAX;

    for (p = s->text, n = 0; *p != '\0'; p++) {
        n += ((unsigned char) *p & 0xc0) != 0x80;
    }

    if (n <= max) {
        return true;
    }

    send_error(s, "text_too_long", "WhatsApp takes up to %d characters here, "
               "and this has %d", (int) max, (int) n);
    return false;
}


/* 1 and the id, 0 if the file has none, -1 on failure */
static int
cloudapi_media_kept(child_t *child, const send_t *s, char *id, size_t size)
{
    int          rc;
    PGresult    *res;
    const char  *params[2];

    static const char  sql[] =
        "SELECT media_id FROM media.provider_media"
        " WHERE instance_id = $1::bigint AND object_key = $2"
        "   AND expires_at > now()";

    params[0] = s->instance;
    params[1] = s->file_key;
    res = db_exec(child, sql, 2, params);

    if (res == NULL) {
        return -1;
    }

    rc = PQntuples(res) == 1
         && strlen(PQgetvalue(res, 0, 0)) < size;

    if (rc == 1) {
        strcpy(id, PQgetvalue(res, 0, 0));
    }

    PQclear(res);

    return rc;
}


/* an id that is not kept is only made again */
static void
cloudapi_media_keep(child_t *child, const send_t *s, const char *id)
{
    const char  *params[3];

    static const char  sql[] =
        "INSERT INTO media.provider_media"
        "   (instance_id, object_key, media_id, expires_at)"
        " VALUES ($1::bigint, $2, $3,"
        "   now() + interval '" CLOUDAPI_MEDIA_KEPT "')"
        " ON CONFLICT (instance_id, object_key) DO UPDATE"
        "   SET media_id = excluded.media_id,"
        "       expires_at = excluded.expires_at";

    params[0] = s->instance;
    params[1] = s->file_key;
    params[2] = id;
    PQclear(db_exec(child, sql, 3, params));
}


static int
cloudapi_media_drop(child_t *child, const send_t *s)
{
    PGresult    *res;
    const char  *params[2];

    static const char  sql[] =
        "DELETE FROM media.provider_media"
        " WHERE instance_id = $1::bigint AND object_key = $2";

    params[0] = s->instance;
    params[1] = s->file_key;
    res = db_exec(child, sql, 2, params);
    PQclear(res);

    return res == NULL ? -1 : 0;
}


/* SEND_ACCEPTED if the file has an id now; nothing has been sent anyway */
static send_result_t
cloudapi_upload(child_t *child, send_t *s, char *id, size_t size)
{
    int                 rc;
    char                type[128];
    answer_t            answer;
    send_body_t         b;
    http_answer_t       ans;
    send_result_t       result;
    answer_member_t     members[] = { { "id", id, size }, { NULL, NULL, 0 } };
    provider_account_t  account;
    provider_request_t  req;

    memset(&req, 0, sizeof(provider_request_t));
    req.method = "POST";
    req.auth = "Authorization";
    req.path = "/{}/media";
    req.type = type;
    req.max_size = PROVIDER_ANSWER_MAX;
    req.timeout = 2 * fetch_timeout(s->file_size);
    req.write = answer_write;
    req.data = &answer;
    send_account(&account, s);

    send_body_init(&b);

    if (cloudapi_multipart(child, &b, s, type, sizeof(type), &result) != 0) {
        send_body_free(&b);
        return result;
    }

    if (send_body_end(&b, &req) != 0
        || answer_open(&answer, members, NULL, NULL, NULL) != 0)
    {
        send_body_free(&b);
        send_error(s, "memory", "no memory for the request");
        return SEND_AGAIN;
    }

    rc = provider_perform(child, &account, &req, &ans);

    if (answer_close(&answer) != 0) {
        id[0] = '\0';
    }

    send_body_free(&b);

    if (rc != 0) {
        return send_no_answer(s, &ans, false);
    }

    if (ans.status >= 200 && ans.status <= 299 && id[0] != '\0') {
        cloudapi_media_keep(child, s, id);
        return SEND_ACCEPTED;
    }

    result = ans.status >= 200 && ans.status <= 299
             ? SEND_UNKNOWN : cloudapi_refused(s, &ans);

    if (result == SEND_UNKNOWN) {
        send_error(s, "media_upload", "the file could not be uploaded to "
                   "WhatsApp (HTTP %ld)", ans.status);
        s->scope = SEND_SCOPE_NUMBER;
        s->retry_after = ans.retry_after;
        result = SEND_RETRY;
    }

    return result;
}


/* RFC 7578; the part's type is what WhatsApp goes by */
static int
cloudapi_multipart(child_t *child, send_body_t *b, send_t *s, char *type,
    size_t size, send_result_t *result)
{
    char           part[4096], boundary[33];
    char           name[SEND_NAME_MAX], safe[MEDIA_KEY_NAME_MAX + 1];
    media_str_t    original;
    unsigned char  bytes[16];

    if (RAND_bytes(bytes, sizeof(bytes)) != 1) {
        send_error(s, "memory", "no random numbers");
        *result = SEND_AGAIN;
        return -1;
    }

    media_hex_encode(boundary, bytes, sizeof(bytes));
    boundary[32] = '\0';
    snprintf(type, size, "multipart/form-data; boundary=%s", boundary);

    send_file_name(name, sizeof(name), s);
    media_str_set(&original, name, strlen(name));
    (void) media_key_safe_name(safe, sizeof(safe), original);

    snprintf(part, sizeof(part),
             "--%s\r\n"
             "Content-Disposition: form-data; name=\"messaging_product\"\r\n"
             "\r\n"
             "whatsapp\r\n"
             "--%s\r\n"
             "Content-Disposition: form-data; name=\"type\"\r\n"
             "\r\n"
             "%s\r\n"
             "--%s\r\n"
             "Content-Disposition: form-data; name=\"file\"; "
             "filename=\"%s\"\r\n"
             "Content-Type: %s\r\n"
             "\r\n",
             boundary, boundary, s->file_type, boundary, safe, s->file_type);
    send_body_add(b, part);

    if (send_body_object(child, b, s, false, result) != 0) {
        return -1;
    }

    snprintf(part, sizeof(part), "\r\n--%s--\r\n", boundary);
    send_body_add(b, part);

    return 0;
}


static bool
cloudapi_mark_read(child_t *child, send_t *s, const char *message)
{
    return cloudapi_read(child, s, message, false);
}


/* shown for 25 seconds or until a message; it marks as read, too */
static bool
cloudapi_typing(child_t *child, send_t *s, bool audio,
    const char *last_message)
{
    (void) audio;

    return last_message != NULL && last_message[0] != '\0'
           && cloudapi_read(child, s, last_message, true);
}


static bool
cloudapi_read(child_t *child, send_t *s, const char *message, bool typing)
{
    bool         ok;
    send_body_t  b;

    send_body_init(&b);
    send_body_open(&b, NULL);
    send_body_string(&b, "messaging_product", "whatsapp");
    send_body_string(&b, "status", "read");
    send_body_string(&b, "message_id", message);

    if (typing) {
        send_body_open(&b, "typing_indicator");
        send_body_string(&b, "type", "text");
        send_body_close(&b);
    }

    send_body_close(&b);

    ok = send_call(child, s, "POST", "Authorization", "/{}/messages", &b);
    send_body_free(&b);

    return ok;
}
