/*
 * Copyright (C) ngx_media contributors
 */

#include <stdlib.h>
#include <unistd.h>

#include "decoder.h"
#include "media_worker.h"


/*
 * The jobs of media_priority: preview.c's, and a person's profile picture
 * from WhatsApp to
 * profile_pics/{tenant}/{phone}.jpg, its thumbnail beside it.  The key does
 * not change with the picture, so that what was cached of it is purged before
 * the browsers are told.
 */


#define PROFILE_EDGE_MAX  1024      /* pixels of a picture that is no JPEG */


typedef struct {
    PGresult  *row;
    char       tenant[72];
    char       instance[24];
    char       phone[64];
    char       url[MEDIA_URL_MAX];
    char       key[MEDIA_KEY_MAX];
    char       thumb_key[MEDIA_KEY_MAX];
    char       type[16];                    /* "preview", or "" */
    char       attachment[64];              /* of a preview */
    int        fd;
    int64_t    size;
    int64_t    max_size;
} profile_t;


static bool profile_read(profile_t *p, const job_t *job);
static bool profile_keys(profile_t *p);
static job_result_t profile_run(child_t *child, profile_t *p);
static fetch_result_t profile_ask(child_t *child, profile_t *p);
static fetch_result_t profile_fetch(child_t *child, profile_t *p);
static int profile_write(void *data, const char *s, size_t len);
static job_result_t profile_scan(child_t *child, profile_t *p);
static job_result_t profile_save(child_t *child, profile_t *p);
static job_result_t profile_put(child_t *child, profile_t *p,
    const char *type, int thumb, int64_t size);
static job_result_t profile_undecoded(child_t *child, const profile_t *p);
static int profile_put_edge(child_t *child, const profile_t *p);
static job_result_t profile_update(child_t *child, profile_t *p);


static const char *const  profile_hosts[] = { "whatsapp.net", NULL };

static const char  profile_update_sql[] =
    "WITH contact AS ("
    "    UPDATE media.contacts SET profile_pic_url = $3,"
    "           profile_pic_updated_at = now(), updated_at = now()"
    "     WHERE tenant_id = $1 AND address = $2 RETURNING id)"
    " UPDATE media.conversations SET profile_pic_url = $3,"
    "        profile_pic_updated_at = now(), updated_at = now()"
    "  WHERE tenant_id = $1"
    "    AND (chat = $2 OR contact_id IN (SELECT id FROM contact))"
    " RETURNING id, jsonb_build_object('id', id, 'profile_pic_url',"
    "        profile_pic_url, 'thumbnail_url', $4::text)::text";


job_result_t
profile_job(child_t *child, job_t *job)
{
    profile_t     p;
    job_result_t  rc;

    memset(&p, 0, sizeof(profile_t));
    p.fd = -1;
    p.max_size = conf.mime.rules[MEDIA_CATEGORY_PROFILE_PIC].max_size;

    if (!profile_read(&p, job)) {
        log_msg(LOG_ERR, "job is malformed", NULL);
        return JOB_DEAD;
    }

    if (strcmp(p.type, "preview") == 0) {
        return preview_job(child, p.attachment);
    }

    if (!profile_keys(&p)) {
        log_msg(LOG_ERR, "profile picture job is malformed", NULL);
        return JOB_DEAD;
    }

    rc = profile_run(child, &p);

    if (p.fd != -1) {
        close(p.fd);
    }

    PQclear(p.row);

    if (rc == JOB_RETRY && job->attempt + 1 >= conf.download_attempts) {
        log_msg(LOG_WARN, "profile picture given up", NULL);
        return JOB_DONE;
    }

    return rc;
}


static bool
profile_read(profile_t *p, const job_t *job)
{
    answer_t         body;
    answer_member_t  members[] = {
        { "tenant_id", p->tenant, sizeof(p->tenant) },
        { "instance_id", p->instance, sizeof(p->instance) },
        { "phone", p->phone, sizeof(p->phone) },
        { "url", p->url, sizeof(p->url) },
        { "type", p->type, sizeof(p->type) },
        { "attachment_id", p->attachment, sizeof(p->attachment) },
        { NULL, NULL, 0 }
    };

    if (answer_open(&body, members, NULL, NULL, NULL) != 0) {
        return false;
    }

    (void) answer_write(&body, job->body.data, job->body.len);

    return answer_close(&body) == 0;
}


static bool
profile_keys(profile_t *p)
{
    media_str_t  tenant, phone, key;

    if (p->instance[0] == '\0'
        || strspn(p->instance, "0123456789") != strlen(p->instance))
    {
        return false;
    }

    media_str_set(&tenant, p->tenant, strlen(p->tenant));
    media_str_set(&phone, p->phone, strlen(p->phone));

    if (media_key_profile_pic(p->key, sizeof(p->key), tenant, phone) < 0) {
        return false;
    }

    media_str_set(&key, p->key, strlen(p->key));
    return media_key_thumb(p->thumb_key, sizeof(p->thumb_key), key, "jpg")
           > 0;
}


static job_result_t
profile_run(child_t *child, profile_t *p)
{
    bool            asked;
    const char     *params[2];
    fetch_result_t  rc;

    params[0] = p->instance;
    params[1] = p->tenant;
    p->row = db_exec(child, "SELECT provider, name, base_url, token"
                            "  FROM media.instances"
                            " WHERE id = $1::bigint AND tenant_id = $2", 2,
                     params);
    if (p->row == NULL) {
        return JOB_AGAIN;
    }

    if (PQntuples(p->row) == 0) {
        return JOB_DONE;
    }

    p->fd = file_temp();

    if (p->fd == -1) {
        return JOB_AGAIN;
    }

    asked = p->url[0] == '\0';
    rc = asked ? profile_ask(child, p) : profile_fetch(child, p);

    if (rc == FETCH_EXPIRED && !asked) {
        rc = profile_ask(child, p);
    }

    switch (rc) {

    case FETCH_OK:
        return profile_scan(child, p);

    case FETCH_RETRY:
        return JOB_RETRY;

    default:
        return JOB_DONE;
    }
}


/* the provider knows a picture's present address */
static fetch_result_t
profile_ask(child_t *child, profile_t *p)
{
    int   rc;
    char  token[CREDENTIAL_MAX];

    if (credential_open(PQgetvalue(p->row, 0, 3), token, sizeof(token)) != 0) {
        return FETCH_RETRY;
    }

    rc = provider_picture(child, PQgetvalue(p->row, 0, 0),
                          PQgetvalue(p->row, 0, 1),
                          PQgetvalue(p->row, 0, 2), token, p->phone, p->url,
                          sizeof(p->url));
    explicit_bzero(token, sizeof(token));

    if (rc != 0) {
        return FETCH_RETRY;
    }

    if (p->url[0] == '\0') {
        log_msg(LOG_INFO, "no profile picture", NULL);
        return FETCH_NONE;
    }

    return profile_fetch(child, p);
}


static fetch_result_t
profile_fetch(child_t *child, profile_t *p)
{
    int             rc;
    char            url[MEDIA_URL_MAX + 64];
    ssize_t         n;
    const char     *reason;
    media_str_t     none = media_str(""), s;
    http_answer_t   ans;
    http_request_t  req;

    media_str_set(&s, p->url, strlen(p->url));
    reason = "";
    n = media_url_choose(url, sizeof(url), none, s, fetch_cdn(), time(NULL),
                         &reason);

    if (n == MEDIA_URL_EXPIRED) {
        return FETCH_EXPIRED;
    }

    if (n < 0) {
        log_msg(LOG_WARN, "profile picture's address rejected",
                "reason", reason, NULL);
        return FETCH_FINAL;
    }

    p->size = 0;

    if (ftruncate(p->fd, 0) != 0 || lseek(p->fd, 0, SEEK_SET) != 0) {
        return FETCH_RETRY;
    }

    memset(&req, 0, sizeof(http_request_t));
    req.method = "GET";
    req.url = url;
    req.body_fd = -1;
    req.write = profile_write;
    req.data = p;
    req.max_size = p->max_size;
    req.timeout = fetch_timeout(p->max_size);
    req.trusted = conf.whatsapp_cdn_url;
    req.hosts = profile_hosts;
    req.follow = 1;
    req.guarded = 1;

    rc = http_perform(child->curl, &req, &ans);

    if (rc == 0 && ans.status == 200) {
        return FETCH_OK;
    }

    log_msg(LOG_INFO, "profile picture not fetched",
            "status", log_fmt("%ld", ans.status), "error", ans.error, NULL);

    if (ans.too_large || ans.refused) {
        return FETCH_FINAL;
    }

    return ans.status == 403 || ans.status == 404 || ans.status == 410
           ? FETCH_EXPIRED : FETCH_RETRY;
}


static int
profile_write(void *data, const char *s, size_t len)
{
    profile_t  *p = data;

    p->size += len;
    return file_write(p->fd, s, len);
}


static job_result_t
profile_scan(child_t *child, profile_t *p)
{
    switch (scan_file(p->fd, p->size)) {

    case SCAN_PASSED:
        return profile_save(child, p);

    case SCAN_RETRY:
        return JOB_RETRY;

    case SCAN_AGAIN:
        return JOB_AGAIN;

    default:
        return JOB_DONE;
    }
}


static job_result_t
profile_save(child_t *child, profile_t *p)
{
    int               thumb;
    media_str_t       s;
    job_result_t      rc;
    decoder_answer_t  ans;

    if (inspect(p->fd, "", conf.thumb_size, "image/jpeg", &ans, &thumb) != 0)
    {
        return JOB_AGAIN;
    }

    media_str_set(&s, ans.type, strlen(ans.type));

    if (!media_mime_allowed(&conf.mime, MEDIA_CATEGORY_PROFILE_PIC, s)) {
        log_msg(LOG_WARN, "profile picture is no picture", "type", ans.type,
                NULL);
        rc = JOB_DONE;

    } else if (thumb == -1) {
        log_msg(LOG_WARN, "profile picture not decoded", "reason", ans.error,
                NULL);
        rc = JOB_DONE;

    } else {
        rc = profile_put(child, p, ans.type, thumb, ans.result.size);
    }

    if (thumb != -1) {
        close(thumb);
    }

    return rc;
}


/* the thumbnail first: what cannot be decoded is not stored */
static job_result_t
profile_put(child_t *child, profile_t *p, const char *type, int thumb,
    int64_t size)
{
    int   rc;
    long  status;

    if (store_put_checked(child, p->thumb_key, thumb, size, "image/jpeg",
                          "inline", &status)
        != 0)
    {
        return JOB_AGAIN;
    }

    rc = strcmp(type, "image/jpeg") == 0
         ? store_put_checked(child, p->key, p->fd, p->size, type, "inline",
                             &status)
         : profile_put_edge(child, p);

    if (rc > 0) {
        return profile_undecoded(child, p);
    }

    return rc == 0 ? profile_update(child, p) : JOB_AGAIN;
}


/* the thumbnail may be another one all the same */
static job_result_t
profile_undecoded(child_t *child, const profile_t *p)
{
    if (purge_add(child, p->thumb_key, NULL) != 0) {
        return JOB_AGAIN;
    }

    (void) purge_publish(child);

    return JOB_DONE;
}


/* puts the picture as a JPEG; 1 if it cannot be decoded */
static int
profile_put_edge(child_t *child, const profile_t *p)
{
    int               fd, rc;
    long              status;
    decoder_answer_t  ans;

    if (inspect(p->fd, "", PROFILE_EDGE_MAX, "image/jpeg", &ans, &fd) != 0) {
        return -1;
    }

    if (fd == -1) {
        log_msg(LOG_WARN, "profile picture not decoded", "reason", ans.error,
                NULL);
        return 1;
    }

    rc = store_put_checked(child, p->key, fd, ans.result.size, "image/jpeg",
                           "inline", &status);
    close(fd);

    return rc;
}


static job_result_t
profile_update(child_t *child, profile_t *p)
{
    int          i;
    char         url[2 * MEDIA_KEY_MAX], thumb_url[2 * MEDIA_KEY_MAX];
    PGresult    *res;
    const char  *params[4];

    if (store_public_url(url, sizeof(url), p->key) != 0
        || store_public_url(thumb_url, sizeof(thumb_url), p->thumb_key) != 0
        || db_begin(child) != 0)
    {
        return JOB_AGAIN;
    }

    params[0] = p->tenant;
    params[1] = p->phone;
    params[2] = url;
    params[3] = thumb_url;
    res = db_exec(child, profile_update_sql, 4, params);

    if (res != NULL && purge_add(child, p->key, NULL) != 0) {
        PQclear(res);
        res = NULL;
    }

    for (i = 0; res != NULL && i < PQntuples(res); i++) {
        if (event_add(child, p->tenant, PQgetvalue(res, i, 0),
                      "conversation_updated", PQgetvalue(res, i, 1)) != 0)
        {
            PQclear(res);
            res = NULL;
        }
    }

    if (res == NULL) {
        db_rollback(child);
        return JOB_AGAIN;
    }

    PQclear(res);

    if (db_commit(child) != 0) {
        return JOB_AGAIN;
    }

    (void) purge_publish(child);
    event_publish(child);
    log_msg(LOG_INFO, "profile picture stored", NULL);

    return JOB_DONE;
}
