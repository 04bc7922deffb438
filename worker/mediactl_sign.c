/*
 * Copyright (C) ngx_media contributors
 *
 * mediactl sign-url: a URL with which anybody may read one object until it
 * expires.
 */

#define _GNU_SOURCE
#include <getopt.h>
#include <stdlib.h>
#include <yajl/yajl_gen.h>

#include "conf.h"
#include "mediactl_db.h"


static int sign_usage(void);
static int sign_make(const char *object, int seconds, bool json);
static void sign_print(const char *key, const char *url, time_t expires,
    bool json);


int
mediactl_sign_url(int argc, char **argv)
{
    int          option, seconds;
    bool         json;
    const char  *why;
    static const struct option  options[] = {
        { "expires", required_argument, NULL, 'e' },
        { "json", no_argument, NULL, 'j' },
        { NULL, 0, NULL, 0 }
    };

    json = false;
    seconds = 15 * 60;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {

        case 'e':
            why = conf_seconds(&seconds, optarg);

            if (why != NULL || seconds > SIGN_TTL_MAX) {
                fprintf(stderr, "mediactl: --expires %s\n",
                        why ? why : "must be 7d at the most");
                return MEDIACTL_USAGE;
            }

            break;

        case 'j':
            json = true;
            break;

        default:
            return sign_usage();
        }
    }

    return (optind == argc - 1) ? sign_make(argv[optind], seconds, json)
                                : sign_usage();
}


static int
sign_usage(void)
{
    fputs("usage: mediactl sign-url KEY|URL [--expires 15m] [--json]\n",
          stderr);

    return MEDIACTL_USAGE;
}


static int
sign_make(const char *object, int seconds, bool json)
{
    char    key[MEDIA_KEY_MAX + 1], url[SIGN_URL_MAX];
    time_t  expires;
    static const char *const  names[] = { "MEDIA_PUBLIC_URL", NULL };

    if (conf_load_for(names) != 0) {
        return MEDIACTL_FAILED;
    }

    if (conf.sign_key[0] == '\0') {
        fputs("mediactl: MEDIA_SIGN_KEY_ID and MEDIA_SIGN_KEY are not set\n",
              stderr);
        return MEDIACTL_FAILED;
    }

    if (mediactl_key(key, sizeof(key), object) != 0) {
        return MEDIACTL_FAILED;
    }

    expires = time(NULL) + seconds;

    if (sign_url(url, sizeof(url), key, expires) != 0) {
        fprintf(stderr, "mediactl: \"%s\" is no tenant's object: keys begin"
                        " with chat/TENANT/ or profile_pics/TENANT/\n", key);
        return MEDIACTL_FAILED;
    }

    sign_print(key, url, expires, json);

    return 0;
}


static void
sign_print(const char *key, const char *url, time_t expires, bool json)
{
    if (!json) {
        puts(url);
        return;
    }

    fputs("{\"key\":", stdout);
    mediactl_json_string(key);
    fputs(",\"url\":", stdout);
    mediactl_json_string(url);
    printf(",\"expires\":%lld}\n", (long long) expires);
}


int
mediactl_key(char *dst, size_t size, const char *object)
{
    int          rc;
    char         url[SIGN_URL_MAX];
    media_str_t  key;

    media_str_set(&key, object, strlen(object));

    if (strstr(object, "://") != NULL) {
        snprintf(url, sizeof(url), "%.*s", (int) strcspn(object, "?#"),
                 object);
        rc = store_key_of_url(dst, size, url);

        if (rc != 0) {
            fprintf(stderr, "mediactl: the URL is not one of an object: those"
                            " begin with MEDIA_PUBLIC_URL, \"%s\"\n",
                    conf.public_url);
        }

        return rc;
    }

    if (media_key_check(key) != MEDIA_OK || key.len >= size) {
        fputs("mediactl: the object key is not valid\n", stderr);
        return -1;
    }

    strcpy(dst, object);
    return 0;
}


void
mediactl_json_string(const char *s)
{
    size_t                len;
    yajl_gen              gen;
    const unsigned char  *text;

    gen = yajl_gen_alloc(NULL);

    if (gen == NULL) {
        return;
    }

    yajl_gen_string(gen, (const unsigned char *) s, strlen(s));
    yajl_gen_get_buf(gen, &text, &len);
    fwrite(text, 1, len, stdout);
    yajl_gen_free(gen);
}
