/*
 * Copyright (C) ngx_media contributors
 *
 * mediactl decrypt and media-url: what the worker does with one file, by
 * hand.  The plain text goes to an unlinked temporary file and from there to
 * standard output, once every check has passed.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "media_codec.h"
#include "media_decrypt.h"
#include "media_url.h"
#include "mediactl.h"


#define DECRYPT_BUFFER_SIZE  (64 * 1024)
#define DECRYPT_BYTES_MAX    128        /* of a key or hash on the command
                                           line */


typedef struct {
    const char  *type;                  /* NULL: not given */
    const char  *media_key;
    const char  *sha256;
    const char  *enc_sha256;
} decrypt_options_t;


/* one reading of the input, and what came of it */
typedef struct {
    media_decrypt_t  *ctx;              /* NULL: not used */
    FILE             *out;
} decrypt_file_t;


static int decrypt_options(decrypt_options_t *options, int argc, char **argv);
static int decrypt_usage(const char *reason);
static int decrypt_bytes(media_str_t *bytes, char *buf, const char *text);
static int decrypt_open(decrypt_file_t *file, const char *info,
    media_str_t key, media_str_t sha256, media_str_t enc_sha256);
static void decrypt_close(decrypt_file_t *file);
static int decrypt_stream(decrypt_file_t *files);
static int decrypt_piece(decrypt_file_t *file, const char *in, size_t len);
static int decrypt_finish(decrypt_file_t *file, int *rc);
static int decrypt_copy(FILE *from);
static int decrypt_refused(const char *class);
static int decrypt_failed(const char *what);
static int media_url_usage(const char *reason);


int
mediactl_decrypt(int argc, char **argv)
{
    int                rc;
    char               key[DECRYPT_BYTES_MAX], sha256[DECRYPT_BYTES_MAX],
                       enc_sha256[DECRYPT_BYTES_MAX];
    const char        *info;
    media_str_t        type, key_bytes, sha256_bytes, enc_bytes;
    decrypt_file_t     files[2];
    decrypt_options_t  options;

    rc = decrypt_options(&options, argc, argv);
    if (rc != 0) {
        return rc;
    }

    media_str_set(&type, options.type, strlen(options.type));

    info = media_decrypt_info(type);
    if (info == NULL) {
        return decrypt_usage("unknown type");
    }

    if (options.media_key == NULL) {
        info = NULL;
    }

    if (decrypt_bytes(&sha256_bytes, sha256, options.sha256) != 0
        || decrypt_bytes(&enc_bytes, enc_sha256, options.enc_sha256) != 0)
    {
        return decrypt_usage("a hash is 32 bytes in base64");
    }

    if (decrypt_bytes(&key_bytes, key, options.media_key) != 0) {
        return decrypt_refused(media_decrypt_error(
                                   MEDIA_DECRYPT_BAD_MEDIA_KEY));
    }

    memset(files, 0, sizeof(files));

    rc = decrypt_open(&files[0], info, key_bytes, sha256_bytes, enc_bytes);

    if (rc == 0 && options.media_key != NULL && options.sha256 != NULL
        && options.enc_sha256 == NULL)
    {
        /* channels' voice notes carry a key, and are not encrypted */

        media_str_set(&key_bytes, "", 0);
        rc = decrypt_open(&files[1], NULL, key_bytes, sha256_bytes,
                          key_bytes);
    }

    if (rc == 0) {
        rc = decrypt_stream(files);
    }

    decrypt_close(&files[0]);
    decrypt_close(&files[1]);

    return rc;
}


static int
decrypt_options(decrypt_options_t *options, int argc, char **argv)
{
    int          i;
    const char **value;

    memset(options, 0, sizeof(decrypt_options_t));

    for (i = 1; i < argc; i += 2) {

        if (strcmp(argv[i], "--type") == 0) {
            value = &options->type;

        } else if (strcmp(argv[i], "--media-key") == 0) {
            value = &options->media_key;

        } else if (strcmp(argv[i], "--sha256") == 0) {
            value = &options->sha256;

        } else if (strcmp(argv[i], "--enc-sha256") == 0) {
            value = &options->enc_sha256;

        } else {
            return decrypt_usage("unknown argument");
        }

        if (i + 1 == argc) {
            return decrypt_usage("an option lacks its value");
        }

        *value = argv[i + 1];
    }

    if (options->type == NULL) {
        return decrypt_usage("--type is missing");
    }

    if (options->media_key == NULL
        && (options->sha256 == NULL || options->enc_sha256 != NULL))
    {
        return decrypt_usage("--media-key is missing");
    }

    return 0;
}


static int
decrypt_usage(const char *reason)
{
    fprintf(stderr,
            "usage: %s\n"
            "mediactl decrypt --type T --media-key B64 [--sha256 B64]"
            " [--enc-sha256 B64] <IN >OUT\n"
            "mediactl decrypt --type T --sha256 B64 <IN >OUT"
            "  (channels: the file is not encrypted)\n", reason);

    return MEDIACTL_USAGE;
}


/* base64 into buf, of DECRYPT_BYTES_MAX bytes; NULL is empty */
static int
decrypt_bytes(media_str_t *bytes, char *buf, const char *text)
{
    ssize_t  n;

    media_str_set(bytes, "", 0);

    if (text == NULL) {
        return 0;
    }

    n = media_base64_decode(buf, DECRYPT_BYTES_MAX, text, strlen(text));
    if (n <= 0) {
        return -1;
    }

    media_str_set(bytes, buf, (size_t) n);

    return 0;
}


static int
decrypt_open(decrypt_file_t *file, const char *info, media_str_t key,
    media_str_t sha256, media_str_t enc_sha256)
{
    int  rc;

    rc = media_decrypt_create(&file->ctx, info, key, sha256, enc_sha256);

    if (rc != MEDIA_OK) {
        file->ctx = NULL;
    }

    if (rc == MEDIA_ERROR) {
        return decrypt_usage("a hash is 32 bytes in base64");
    }

    if (rc != MEDIA_OK) {
        return decrypt_refused(media_decrypt_error(rc));
    }

    file->out = tmpfile();

    return file->out != NULL ? 0
           : decrypt_failed("cannot create a temporary file");
}


static void
decrypt_close(decrypt_file_t *file)
{
    media_decrypt_free(file->ctx);

    if (file->out != NULL) {
        fclose(file->out);
    }
}


/* the second file, if there is one, is the same input taken as plain */
static int
decrypt_stream(decrypt_file_t *files)
{
    int          rc;
    ssize_t      n;
    static char  in[DECRYPT_BUFFER_SIZE];

    for ( ;; ) {
        n = read(STDIN_FILENO, in, sizeof(in));

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n == -1) {
            return decrypt_failed("cannot read standard input");
        }

        if (n == 0) {
            break;
        }

        if (decrypt_piece(&files[0], in, (size_t) n) != 0
            || decrypt_piece(&files[1], in, (size_t) n) != 0)
        {
            return MEDIACTL_FAILED;
        }
    }

    if (files[1].ctx != NULL) {

        if (decrypt_finish(&files[1], &rc) != 0) {
            return MEDIACTL_FAILED;
        }

        if (rc == MEDIA_OK) {
            return decrypt_copy(files[1].out);
        }
    }

    if (decrypt_finish(&files[0], &rc) != 0) {
        return MEDIACTL_FAILED;
    }

    return rc == MEDIA_OK ? decrypt_copy(files[0].out)
                          : decrypt_refused(media_decrypt_error(rc));
}


static int
decrypt_piece(decrypt_file_t *file, const char *in, size_t len)
{
    ssize_t      n;
    static char  plain[DECRYPT_BUFFER_SIZE + MEDIA_DECRYPT_SLACK];

    if (file->ctx == NULL) {
        return 0;
    }

    n = media_decrypt_update(file->ctx, plain, in, len);
    if (n < 0) {
        return decrypt_failed("libcrypto failed");
    }

    if (fwrite(plain, 1, (size_t) n, file->out) != (size_t) n) {
        return decrypt_failed("cannot write the temporary file");
    }

    return 0;
}


static int
decrypt_finish(decrypt_file_t *file, int *rc)
{
    char    plain[MEDIA_DECRYPT_SLACK];
    size_t  len;

    len = 0;
    *rc = media_decrypt_finish(file->ctx, plain, &len);

    if (*rc == MEDIA_ERROR) {
        return decrypt_failed("libcrypto failed");
    }

    if (*rc == MEDIA_OK
        && (fwrite(plain, 1, len, file->out) != len
            || fflush(file->out) != 0))
    {
        return decrypt_failed("cannot write the temporary file");
    }

    return 0;
}


static int
decrypt_copy(FILE *from)
{
    size_t       n;
    static char  buf[DECRYPT_BUFFER_SIZE];

    rewind(from);

    while ((n = fread(buf, 1, sizeof(buf), from)) > 0) {
        if (fwrite(buf, 1, n, stdout) != n) {
            return decrypt_failed("cannot write standard output");
        }
    }

    if (ferror(from)) {
        return decrypt_failed("cannot read the temporary file");
    }

    if (fflush(stdout) != 0) {
        return decrypt_failed("cannot write standard output");
    }

    return 0;
}


static int
decrypt_refused(const char *class)
{
    fprintf(stderr, "%s\n", class);

    return MEDIACTL_FAILED;
}


static int
decrypt_failed(const char *what)
{
    fprintf(stderr, "error: %s: %s\n", what, strerror(errno));

    return MEDIACTL_FAILED;
}


int
mediactl_media_url(int argc, char **argv)
{
    int           i;
    char          url[MEDIA_URL_MAX + 256];
    ssize_t       n;
    const char   *reason;
    media_str_t  *value, direct_path, given;

    media_str_set(&direct_path, "", 0);
    media_str_set(&given, "", 0);

    for (i = 1; i < argc; i += 2) {

        if (strcmp(argv[i], "--direct-path") == 0) {
            value = &direct_path;

        } else if (strcmp(argv[i], "--url") == 0) {
            value = &given;

        } else {
            return media_url_usage("unknown argument");
        }

        if (i + 1 == argc) {
            return media_url_usage("an option lacks its value");
        }

        media_str_set(value, argv[i + 1], strlen(argv[i + 1]));
    }

    reason = "";
    n = media_url_choose(url, sizeof(url), direct_path, given, NULL,
                         time(NULL), &reason);

    if (n == MEDIA_URL_EXPIRED) {
        fprintf(stderr, "expired: the URL's signature is past its time\n");
        return MEDIACTL_FAILED;
    }

    if (n < 0) {
        fprintf(stderr, "rejected: %s\n",
                n == MEDIA_NOSPACE ? "too long" : reason);
        return MEDIACTL_FAILED;
    }

    printf("%s\n", url);

    return fflush(stdout) == 0 ? 0 : decrypt_failed("cannot write");
}


static int
media_url_usage(const char *reason)
{
    fprintf(stderr, "usage: %s\n"
                    "mediactl media-url [--direct-path P] [--url U]\n",
            reason);

    return MEDIACTL_USAGE;
}
