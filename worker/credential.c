/*
 * Copyright (C) ngx_media contributors
 *
 * Credentials of instances, as media.instances.token holds them:
 *     enc:{key id}:{base64url}    AES-256-GCM (NIST SP 800-38D): 12 bytes of
 *                                 nonce, the ciphertext, 16 bytes of tag; the
 *                                 first two parts are authenticated, too
 *     file:{path}                 read from there each time
 * What is neither is refused: nothing is kept in the clear.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "media_worker.h"


#define CREDENTIAL_KEY    32            /* bytes */
#define CREDENTIAL_NONCE  12
#define CREDENTIAL_TAG    16
#define CREDENTIAL_RAW    (CREDENTIAL_NONCE + CREDENTIAL_MAX + CREDENTIAL_TAG)
#define CREDENTIAL_HEAD   (sizeof("enc::") + MEDIA_SIGN_ID_MAX)


typedef struct {
    media_str_t    id;
    unsigned char  key[CREDENTIAL_KEY];
} credential_key_t;


static int credential_key(const char **p, credential_key_t *k);
static bool credential_is_due(const char *stored, bool rotate);
static int credential_seal_row(child_t *child, const char *id,
    const char *stored);
static int credential_find(media_str_t id, credential_key_t *k);
static int credential_decrypt(const char *stored, char *dst, size_t size);
static int credential_gcm(int encrypt, const credential_key_t *k,
    const unsigned char *nonce, const char *head, const unsigned char *src,
    size_t len, unsigned char *dst, unsigned char *tag);
static int credential_file(const char *path, char *dst, size_t size);
static int credential_failed(const char *reason, const char *detail);


int
credential_open(const char *stored, char *dst, size_t size)
{
    dst[0] = '\0';

    if (stored[0] == '\0') {
        return 0;
    }

    if (strncmp(stored, "enc:", 4) == 0) {
        return credential_decrypt(stored, dst, size);
    }

    if (strncmp(stored, "file:", 5) == 0) {
        return credential_file(stored + 5, dst, size);
    }

    return credential_failed("it is stored in the clear: run"
                             " \"media-worker --migrate\"", "");
}


int
credential_seal(const char *credential, char *dst, size_t size)
{
    int               rc, n;
    char              head[CREDENTIAL_HEAD];
    size_t            len, i;
    const char       *p;
    unsigned char     raw[CREDENTIAL_RAW];
    credential_key_t  k;

    len = strlen(credential);
    p = conf.credential_key;

    if (credential_key(&p, &k) != 1) {
        return credential_failed("MEDIA_CREDENTIAL_KEY is not set", "");
    }

    snprintf(head, sizeof(head), "enc:%.*s:", (int) k.id.len, k.id.data);
    rc = -1;

    if (len <= CREDENTIAL_MAX && RAND_bytes(raw, CREDENTIAL_NONCE) == 1) {
        rc = credential_gcm(1, &k, raw, head,
                            (const unsigned char *) credential, len,
                            raw + CREDENTIAL_NONCE,
                            raw + CREDENTIAL_NONCE + len);
    }

    explicit_bzero(&k, sizeof(credential_key_t));
    len += CREDENTIAL_NONCE + CREDENTIAL_TAG;
    n = strlen(head);

    if (rc != 0 || n + MEDIA_BASE64_LEN(len) + 1 > size) {
        return credential_failed("it cannot be encrypted", "");
    }

    memcpy(dst, head, n);
    len = media_base64_encode(dst + n, raw, len);
    dst[n + len] = '\0';

    for (i = n; dst[i] != '\0'; i++) {
        dst[i] = (dst[i] == '+') ? '-' : (dst[i] == '/') ? '_' : dst[i];
    }

    return 0;
}


int
credential_seal_all(child_t *child, bool rotate)
{
    int        i, n;
    PGresult  *res;
    static const char  sql[] =
        "SELECT id, token FROM media.instances"
        " WHERE token <> '' AND token NOT LIKE 'file:%' FOR UPDATE";

    if (db_begin(child) != 0) {
        return -1;
    }

    n = 0;
    res = db_exec(child, sql, 0, NULL);

    for (i = 0; res != NULL && i < PQntuples(res); i++) {
        if (!credential_is_due(PQgetvalue(res, i, 1), rotate)) {
            continue;
        }

        if (credential_seal_row(child, PQgetvalue(res, i, 0),
                                PQgetvalue(res, i, 1)) != 0)
        {
            n = -1;
            break;
        }

        n++;
    }

    if (res == NULL || n == -1) {
        PQclear(res);
        db_rollback(child);
        return -1;
    }

    PQclear(res);

    return db_commit(child) == 0 ? n : -1;
}


static bool
credential_is_due(const char *stored, bool rotate)
{
    size_t            n;
    bool              current;
    const char       *p;
    credential_key_t  k;

    if (strncmp(stored, "enc:", 4) != 0) {
        return true;
    }

    p = conf.credential_key;

    if (!rotate || credential_key(&p, &k) != 1) {
        return false;
    }

    n = k.id.len;
    current = strncmp(stored + 4, k.id.data, n) == 0 && stored[4 + n] == ':';
    explicit_bzero(&k, sizeof(credential_key_t));

    return !current;
}


static int
credential_seal_row(child_t *child, const char *id, const char *stored)
{
    int          rc;
    char         clear[CREDENTIAL_MAX], sealed[CREDENTIAL_STORED_MAX];
    PGresult    *res;
    const char  *params[2];

    if (strncmp(stored, "enc:", 4) != 0) {
        rc = credential_seal(stored, sealed, sizeof(sealed));

    } else {
        rc = credential_open(stored, clear, sizeof(clear));

        if (rc == 0) {
            rc = credential_seal(clear, sealed, sizeof(sealed));
        }

        explicit_bzero(clear, sizeof(clear));
    }

    if (rc != 0) {
        log_msg(LOG_ERR, "credential not encrypted", "instance", id, NULL);
        return -1;
    }

    params[0] = id;
    params[1] = sealed;
    res = db_exec(child, "UPDATE media.instances SET token = $2"
                         " WHERE id = $1::bigint", 2, params);
    PQclear(res);

    return (res == NULL) ? -1 : 0;
}


const char *
credential_check_keys(const char *keys)
{
    int               rc, n;
    credential_key_t  k;

    n = 0;

    while ((rc = credential_key(&keys, &k)) == 1) {
        n++;
    }

    explicit_bzero(&k, sizeof(credential_key_t));

    return (rc == 0) ? NULL
           : "must be ID:KEY ..., ID of letters, digits, _ or -, KEY 64"
             " hexadecimal digits";
}


/* the next of a list: 1, 0 at its end, -1 if it is malformed */

static int
credential_key(const char **p, credential_key_t *k)
{
    size_t            n;
    const char       *s;
    media_sign_key_t  check;

    *p += strspn(*p, " \t\r\n");
    s = *p;

    if (*s == '\0') {
        return 0;
    }

    *p += strcspn(s, " \t\r\n");
    n = strcspn(s, ":");
    media_str_set(&k->id, s, n);

    check.id = k->id;
    media_str_set(&check.secret, s, MEDIA_SIGN_SECRET_MIN);

    if ((size_t) (*p - s) != n + 1 + 2 * CREDENTIAL_KEY
        || media_sign_check(&check) != MEDIA_OK
        || media_hex_decode(k->key, s + n + 1, 2 * CREDENTIAL_KEY)
           != MEDIA_OK)
    {
        return -1;
    }

    return 1;
}


static int
credential_find(media_str_t id, credential_key_t *k)
{
    const char  *p;

    p = conf.credential_key;

    while (credential_key(&p, k) == 1) {
        if (media_equal(k->id.data, k->id.len, id.data, id.len)) {
            return 0;
        }
    }

    return -1;
}


static int
credential_decrypt(const char *stored, char *dst, size_t size)
{
    int               rc;
    char              head[CREDENTIAL_HEAD];
    size_t            n;
    ssize_t           len;
    media_str_t       id;
    unsigned char     raw[CREDENTIAL_RAW];
    credential_key_t  k;

    n = strcspn(stored + 4, ":");
    media_str_set(&id, stored + 4, n);

    if (n > MEDIA_SIGN_ID_MAX || stored[4 + n] == '\0') {
        return credential_failed("it is malformed", "");
    }

    if (credential_find(id, &k) != 0) {
        snprintf(head, sizeof(head), "%.*s", (int) n, stored + 4);
        return credential_failed("MEDIA_CREDENTIAL_KEY does not have the key",
                                 head);
    }

    snprintf(head, sizeof(head), "%.*s", (int) (n + 5), stored);
    stored += n + 5;
    len = media_base64_decode(raw, sizeof(raw), stored, strlen(stored))
          - CREDENTIAL_NONCE - CREDENTIAL_TAG;
    rc = -1;

    if (len >= 0 && (size_t) len < size) {
        rc = credential_gcm(0, &k, raw, head, raw + CREDENTIAL_NONCE, len,
                            (unsigned char *) dst,
                            raw + CREDENTIAL_NONCE + len);
        dst[rc == 0 ? len : 0] = '\0';
    }

    explicit_bzero(&k, sizeof(credential_key_t));

    return (rc == 0) ? 0
           : credential_failed("it was not encrypted with this key, or is"
                               " damaged", "");
}


static int
credential_gcm(int encrypt, const credential_key_t *k,
    const unsigned char *nonce, const char *head, const unsigned char *src,
    size_t len, unsigned char *dst, unsigned char *tag)
{
    int              rc, n;
    EVP_CIPHER_CTX  *ctx;

    ctx = EVP_CIPHER_CTX_new();

    if (ctx == NULL) {
        return -1;
    }

    rc = -1;

    if (EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, k->key, nonce,
                          encrypt) == 1
        && (encrypt
            || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, CREDENTIAL_TAG,
                                   tag) == 1)
        && EVP_CipherUpdate(ctx, NULL, &n, (const unsigned char *) head,
                            strlen(head)) == 1
        && EVP_CipherUpdate(ctx, dst, &n, src, len) == 1
        && EVP_CipherFinal_ex(ctx, dst + n, &n) == 1
        && (!encrypt
            || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, CREDENTIAL_TAG,
                                   tag) == 1))
    {
        rc = 0;
    }

    EVP_CIPHER_CTX_free(ctx);

    return rc;
}


static int
credential_file(const char *path, char *dst, size_t size)
{
    int      fd;
    ssize_t  n;

    fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd == -1) {
        return credential_failed(strerror(errno), path);
    }

    n = read(fd, dst, size);
    close(fd);

    if (n < 0 || (size_t) n == size) {
        dst[0] = '\0';
        return credential_failed(n < 0 ? strerror(errno) : "it is too long",
                                 path);
    }

    while (n > 0 && (dst[n - 1] == '\n' || dst[n - 1] == '\r')) {
        n--;
    }

    dst[n] = '\0';

    return (n > 0) ? 0 : credential_failed("the file is empty", path);
}


static int
credential_failed(const char *reason, const char *detail)
{
    log_msg(LOG_ERR, "credential not available", "reason", reason,
            "detail", detail, NULL);

    return -1;
}
