/*
 * Copyright (C) ngx_media contributors
 *
 * All vectors of t/data/whatsapp-media, each in pieces of several sizes, and
 * a run of random damage.
 */

#include <yajl/yajl_tree.h>

#include "media_codec.h"
#include "media_decrypt.h"
#include "test.h"


#define DIR        "t/data/whatsapp-media/"
#define FUZZ_RUNS  2000


typedef struct {
    const char   *name;
    media_str_t   type;
    media_str_t   media_key;
    media_str_t   sha256;
    media_str_t   enc_sha256;
    char          bytes[3][64];
    char         *enc;
    size_t        enc_len;
    int           encrypted;
} vector_t;


static void test_vectors(yajl_val root);
static void test_unencrypted(yajl_val root);
static void test_negative(yajl_val root);
static void test_types(yajl_val root);
static void test_arguments(void);
static void test_fuzz(yajl_val root);


static const size_t  pieces[] = { 1, 7, 16, 4096, (size_t) -1 };

#define PIECES  (sizeof(pieces) / sizeof(pieces[0]))


static const char *
text(yajl_val v, const char *name)
{
    const char  *path[] = { name, NULL };

    v = yajl_tree_get(v, path, yajl_t_string);

    return v ? YAJL_GET_STRING(v) : NULL;
}


static yajl_val
list(yajl_val root, const char *name)
{
    const char  *path[] = { name, NULL };

    return yajl_tree_get(root, path, yajl_t_array);
}


static void
bytes(media_str_t *s, char *buf, const char *base64)
{
    ssize_t  n;

    n = base64 ? media_base64_decode(buf, 64, base64, strlen(base64)) : 0;

    media_str_set(s, buf, n > 0 ? (size_t) n : 0);
}


static void
vector_load(vector_t *v, yajl_val json)
{
    char         path[256];
    const char  *type;

    v->name = text(json, "name");
    type = text(json, "mediaType");
    media_str_set(&v->type, type, strlen(type));

    bytes(&v->media_key, v->bytes[0], text(json, "mediaKey"));
    bytes(&v->sha256, v->bytes[1], text(json, "fileSha256"));
    bytes(&v->enc_sha256, v->bytes[2], text(json, "fileEncSha256"));
    v->encrypted = text(json, "fileEncSha256") != NULL;

    snprintf(path, sizeof(path), DIR "%s", text(json, "enc"));
    v->enc = test_read_file(path, &v->enc_len);
}


/*
 * Decrypts in pieces, each into a buffer of just the size that the contract
 * asks for.  Returns what finish() said; *out is the caller's.
 */

static int
vector_decrypt(const vector_t *v, size_t piece, char **out, size_t *len)
{
    int               rc;
    char             *buf;
    size_t            i, n, last;
    ssize_t           size;
    const char       *info;
    media_decrypt_t  *ctx;

    *out = NULL;
    *len = 0;

    info = v->encrypted ? media_decrypt_info(v->type) : NULL;

    rc = media_decrypt_create(&ctx, info, v->media_key, v->sha256,
                              v->enc_sha256);
    if (rc != MEDIA_OK) {
        return rc;
    }

    *out = malloc(v->enc_len + MEDIA_DECRYPT_SLACK);

    for (i = 0; i < v->enc_len; i += n) {
        n = v->enc_len - i < piece ? v->enc_len - i : piece;

        buf = malloc(n + MEDIA_DECRYPT_SLACK);
        size = media_decrypt_update(ctx, buf, v->enc + i, n);

        if (size < 0) {
            free(buf);
            media_decrypt_free(ctx);
            return MEDIA_ERROR;
        }

        memcpy(*out + *len, buf, (size_t) size);
        *len += (size_t) size;
        free(buf);
    }

    rc = media_decrypt_finish(ctx, *out + *len, &last);
    *len += last;

    if (rc == MEDIA_OK && v->sha256.len
        && memcmp(media_decrypt_sha256(ctx), v->sha256.data, 32) != 0)
    {
        rc = MEDIA_ERROR;
    }

    media_decrypt_free(ctx);

    return rc;
}


int
main(void)
{
    char      *data, error[256];
    size_t     len;
    yajl_val   root;

    data = test_read_file(DIR "vectors.json", &len);
    root = yajl_tree_parse(data, error, sizeof(error));
    ok(root != NULL, "vectors.json: %s", error);

    if (root) {
        test_vectors(root);
        test_unencrypted(root);
        test_negative(root);
        test_types(root);
        test_arguments();
        test_fuzz(root);
    }

    yajl_tree_free(root);
    free(data);

    return test_done();
}


static void
test_plain(yajl_val json)
{
    int        rc;
    char      *plain, *out, path[256];
    size_t     i, len, out_len;
    vector_t   v;

    vector_load(&v, json);
    snprintf(path, sizeof(path), DIR "%s", text(json, "plain"));
    plain = test_read_file(path, &len);

    for (i = 0; i < PIECES; i++) {

        /* single bytes of megabytes take long and show nothing new */

        if (pieces[i] < 4096 && v.enc_len > 200000) {
            continue;
        }

        rc = vector_decrypt(&v, pieces[i], &out, &out_len);
        ok(rc == MEDIA_OK && out_len == len && memcmp(out, plain, len) == 0,
           "%s in pieces of %zu: %s", v.name, pieces[i],
           media_decrypt_error(rc));
        free(out);
    }

    free(plain);
    free(v.enc);
}


static void
test_vectors(yajl_val root)
{
    size_t    i;
    yajl_val  vectors;

    vectors = list(root, "vectors");
    ok(vectors && YAJL_GET_ARRAY(vectors)->len == 39, "39 vectors");

    for (i = 0; i < YAJL_GET_ARRAY(vectors)->len; i++) {
        ok(strcmp(media_decrypt_info((media_str_t) {
                      strlen(text(YAJL_GET_ARRAY(vectors)->values[i],
                                  "mediaType")),
                      text(YAJL_GET_ARRAY(vectors)->values[i], "mediaType")
                  }),
                  text(YAJL_GET_ARRAY(vectors)->values[i], "hkdfInfo")) == 0,
           "info of vector %zu", i);
        test_plain(YAJL_GET_ARRAY(vectors)->values[i]);
    }
}


static void
test_unencrypted(yajl_val root)
{
    char      *out;
    size_t     i, len;
    vector_t   v;
    yajl_val   vectors;

    vectors = list(root, "unencrypted");
    ok(vectors && YAJL_GET_ARRAY(vectors)->len == 2, "2 unencrypted");

    for (i = 0; i < YAJL_GET_ARRAY(vectors)->len; i++) {
        test_plain(YAJL_GET_ARRAY(vectors)->values[i]);

        vector_load(&v, YAJL_GET_ARRAY(vectors)->values[i]);
        v.enc[v.enc_len / 2] ^= 1;
        ok(vector_decrypt(&v, 4096, &out, &len)
           == MEDIA_DECRYPT_PLAIN_SHA256_MISMATCH, "%s damaged", v.name);
        free(out);
        free(v.enc);
    }
}


static void
test_negative(yajl_val root)
{
    int          rc;
    char        *out;
    size_t       i, n, len;
    vector_t     v;
    yajl_val     vectors, json;
    const char  *path[] = { "advisory", NULL }, *expect;

    vectors = list(root, "negative");
    ok(vectors && YAJL_GET_ARRAY(vectors)->len == 39, "39 negative");

    for (i = 0; i < YAJL_GET_ARRAY(vectors)->len; i++) {
        json = YAJL_GET_ARRAY(vectors)->values[i];
        vector_load(&v, json);
        expect = text(json, "expect");

        if (yajl_tree_get(json, path, yajl_t_true)) {
            expect = "ok";              /* fileLength is not checked */
        }

        for (n = 0; n < PIECES; n++) {
            rc = vector_decrypt(&v, pieces[n], &out, &len);
            ok(strcmp(media_decrypt_error(rc), expect) == 0,
               "%s in pieces of %zu gave %s, not %s", v.name, pieces[n],
               media_decrypt_error(rc), expect);
            free(out);
        }

        free(v.enc);
    }
}


/* the names that Baileys has for each info string */

static void
test_types(yajl_val root)
{
    size_t       i, n, count;
    yajl_val     cases, types;
    media_str_t  type;
    const char  *path[] = { "hkdf", "cases", NULL }, *info;

    cases = yajl_tree_get(root, path, yajl_t_array);
    count = 0;

    for (i = 0; i < YAJL_GET_ARRAY(cases)->len; i++) {
        types = list(YAJL_GET_ARRAY(cases)->values[i], "baileysTypes");

        for (n = 0; n < YAJL_GET_ARRAY(types)->len; n++) {
            type.data = YAJL_GET_STRING(YAJL_GET_ARRAY(types)->values[n]);
            type.len = strlen(type.data);

            info = media_decrypt_info(type);

            /* a public picture that only Baileys takes for encrypted */

            if (strcmp(type.data, "biz-cover-photo") == 0) {
                ok(info == NULL, "%s has no keys", type.data);
                continue;
            }

            ok(info && strcmp(info, text(YAJL_GET_ARRAY(cases)->values[i],
                                         "info")) == 0,
               "info of %s", type.data);
            count++;
        }
    }

    ok(count == 16, "%zu types", count);

    media_str_set(&type, "imag", 4);
    ok(media_decrypt_info(type) == NULL, "unknown type");
    media_str_set(&type, "", 0);
    ok(media_decrypt_info(type) == NULL, "empty type");
}


static void
test_arguments(void)
{
    char              key[33];
    media_str_t       k, none, hash;
    media_decrypt_t  *ctx;

    memset(key, 'k', sizeof(key));
    media_str_set(&none, "", 0);
    media_str_set(&k, key, 31);
    media_str_set(&hash, key, 31);

    ok(media_decrypt_create(&ctx, "WhatsApp Image Keys", k, none, none)
       == MEDIA_DECRYPT_BAD_MEDIA_KEY, "31 bytes");

    k.len = 32;
    ok(media_decrypt_create(&ctx, "WhatsApp Image Keys", k, hash, none)
       == MEDIA_ERROR, "a short hash");
    ok(media_decrypt_create(&ctx, "WhatsApp Image Keys", k, none, hash)
       == MEDIA_ERROR, "a short hash of the body");

    media_decrypt_free(NULL);
}


/* one damaged byte, or another length: never ok, never out of bounds */

static void
test_fuzz(yajl_val root)
{
    int        rc;
    char      *out, saved;
    size_t     i, at, len, full, accepted;
    uint64_t   state;
    vector_t   v;
    yajl_val   vectors;

    vectors = list(root, "vectors");
    accepted = 0;
    state = 1442695040888963407ULL;

    for (i = 0; i < YAJL_GET_ARRAY(vectors)->len; i++) {
        vector_load(&v, YAJL_GET_ARRAY(vectors)->values[i]);

        if (strcmp(v.name, "document-txt") == 0) {
            break;
        }

        free(v.enc);
    }

    full = v.enc_len;

    for (i = 0; i < FUZZ_RUNS; i++) {
        at = test_random(&state) % full;
        saved = v.enc[at];

        if (i & 1) {
            v.enc[at] ^= (char) (1 + test_random(&state) % 255);

        } else {
            v.enc_len = at;
        }

        rc = vector_decrypt(&v, 1 + test_random(&state) % 100, &out, &len);
        accepted += (rc == MEDIA_OK);
        free(out);

        v.enc[at] = saved;
        v.enc_len = full;
    }

    ok(accepted == 0, "%zu damaged bodies accepted", accepted);

    /* without the hashes the MAC alone decides */

    v.sha256.len = 0;
    v.enc_sha256.len = 0;
    ok(vector_decrypt(&v, 64, &out, &len) == MEDIA_OK, "no hashes");
    free(out);

    v.enc[3] ^= 1;
    ok(vector_decrypt(&v, 64, &out, &len) == MEDIA_DECRYPT_MAC_MISMATCH,
       "no hashes, damaged");
    free(out);
    free(v.enc);
}
