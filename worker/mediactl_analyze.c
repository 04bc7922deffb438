/*
 * Copyright (C) ngx_media contributors
 *
 * mediactl analyze: the normalised form of a webhook body.  The body is read
 * as a stream; what is found goes to an unlinked temporary file, and to
 * standard output once the whole body has proved to be JSON.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <yajl/yajl_gen.h>

#include "media_codec.h"
#include "media_webhook.h"
#include "mediactl.h"


#define ANALYZE_BUFFER_SIZE  (64 * 1024)


typedef struct {
    const char         *path;           /* "-": standard input */
    media_provider_t    provider;
    int                 json;
} analyze_options_t;


typedef struct {
    FILE               *out;
    yajl_gen            gen;            /* NULL: a report for people */
    uint64_t            items;
    uint64_t            kinds[MEDIA_ITEM_OTHER + 1];
    uint64_t            media;
} analyze_t;


static int analyze_options(analyze_options_t *options, int argc, char **argv);
static int analyze_usage(const char *reason);
static int analyze_body(media_webhook_t *wh, const char *path);
static int analyze_read(media_webhook_t *wh, const char *path, int fd);
static int analyze_finish(analyze_t *an, const media_webhook_t *wh);
static int analyze_copy(FILE *from);
static void analyze_print(void *ctx, const char *s, size_t len);
static int analyze_item(void *data, const media_webhook_item_t *item);
static void analyze_json_item(yajl_gen gen, const media_webhook_item_t *item);
static void analyze_json_media(yajl_gen gen,
    const media_webhook_media_t *media);
static void analyze_json_name(yajl_gen gen, const char *name);
static void analyze_json_string(yajl_gen gen, const char *name,
    media_str_t value);
static void analyze_json_bytes(yajl_gen gen, const char *name,
    media_str_t value);
static void analyze_json_integer(yajl_gen gen, const char *name,
    int64_t value);
static void analyze_json_double(yajl_gen gen, const char *name, double value);
static void analyze_json_boolean(yajl_gen gen, const char *name, int value);
static void analyze_report_item(analyze_t *an,
    const media_webhook_item_t *item);
static void analyze_report_media(FILE *out,
    const media_webhook_media_t *media);
static void analyze_report_string(FILE *out, const char *name,
    media_str_t value);


int
mediactl_analyze(int argc, char **argv)
{
    int                 rc;
    analyze_t           an;
    media_webhook_t    *wh;
    analyze_options_t   options;

    rc = analyze_options(&options, argc, argv);
    if (rc != 0) {
        return rc;
    }

    memset(&an, 0, sizeof(analyze_t));

    an.out = tmpfile();
    if (an.out == NULL) {
        fprintf(stderr, "mediactl: cannot create a temporary file: %s\n",
                strerror(errno));
        return MEDIACTL_FAILED;
    }

    if (options.json) {
        an.gen = yajl_gen_alloc(NULL);
    }

    wh = media_webhook_create(options.provider, analyze_item, &an);

    if (wh == NULL || (options.json && an.gen == NULL)) {
        fprintf(stderr, "mediactl: out of memory\n");
        rc = MEDIACTL_FAILED;

    } else {

        if (an.gen != NULL) {
            yajl_gen_config(an.gen, yajl_gen_print_callback, analyze_print,
                            an.out);
        }

        rc = analyze_body(wh, options.path);

        if (rc == 0) {
            rc = analyze_finish(&an, wh);
        }
    }

    if (an.gen != NULL) {
        yajl_gen_free(an.gen);
    }

    media_webhook_free(wh);
    fclose(an.out);

    return rc;
}


static int
analyze_options(analyze_options_t *options, int argc, char **argv)
{
    int          i;
    media_str_t  name;

    memset(options, 0, sizeof(analyze_options_t));

    for (i = 1; i < argc; i++) {

        if (strcmp(argv[i], "--json") == 0) {
            options->json = 1;

        } else if (strcmp(argv[i], "--provider") == 0) {

            if (++i == argc) {
                return analyze_usage("--provider lacks its value");
            }

            media_str_set(&name, argv[i], strlen(argv[i]));
            options->provider = media_provider_by_name(name);

            if (options->provider == MEDIA_PROVIDER_UNKNOWN) {
                return analyze_usage("unknown provider");
            }

        } else if (argv[i][0] == '-' && argv[i][1] != '\0') {
            return analyze_usage("unknown option");

        } else if (options->path != NULL) {
            return analyze_usage("more than one file");

        } else {
            options->path = argv[i];
        }
    }

    return options->path != NULL ? 0 : analyze_usage("the file is missing");
}


static int
analyze_usage(const char *reason)
{
    fprintf(stderr, "usage: %s\n"
                    "mediactl analyze [--provider evolution|wapi|cloudapi]"
                    " [--json] FILE|-\n", reason);

    return MEDIACTL_USAGE;
}


static int
analyze_body(media_webhook_t *wh, const char *path)
{
    int  fd, rc;

    if (strcmp(path, "-") == 0) {
        return analyze_read(wh, "standard input", STDIN_FILENO);
    }

    fd = open(path, O_RDONLY|O_CLOEXEC);
    if (fd == -1) {
        fprintf(stderr, "mediactl: cannot open \"%s\": %s\n", path,
                strerror(errno));
        return MEDIACTL_FAILED;
    }

    rc = analyze_read(wh, path, fd);

    close(fd);

    return rc;
}


static int
analyze_read(media_webhook_t *wh, const char *path, int fd)
{
    int          rc;
    ssize_t      n;
    static char  buf[ANALYZE_BUFFER_SIZE];

    do {
        n = read(fd, buf, sizeof(buf));

        if (n == -1 && errno == EINTR) {
            rc = MEDIA_OK;
            continue;
        }

        if (n == -1) {
            fprintf(stderr, "mediactl: cannot read %s: %s\n", path,
                    strerror(errno));
            return MEDIACTL_FAILED;
        }

        rc = n ? media_webhook_feed(wh, buf, (size_t) n)
               : media_webhook_finish(wh);

    } while (n != 0 && rc == MEDIA_OK);

    if (rc == MEDIA_OK) {
        return 0;
    }

    fprintf(stderr, "mediactl: %s: %s%s\n", path,
            rc == MEDIA_ERROR ? "not JSON: " : "", media_webhook_error(wh));

    return MEDIACTL_FAILED;
}


static int
analyze_finish(analyze_t *an, const media_webhook_t *wh)
{
    int               kind;
    const char       *provider;
    yajl_gen          gen;
    media_str_t       instance;

    provider = media_provider_name(media_webhook_provider(wh));
    instance = media_webhook_instance(wh);

    if (fflush(an->out) != 0) {
        fprintf(stderr, "mediactl: cannot write a temporary file: %s\n",
                strerror(errno));
        return MEDIACTL_FAILED;
    }

    if (an->gen != NULL) {
        printf("{\"provider\":\"%s\",", provider);

        if (instance.len > 0) {
            gen = yajl_gen_alloc(NULL);
            if (gen == NULL) {
                fprintf(stderr, "mediactl: out of memory\n");
                return MEDIACTL_FAILED;
            }

            yajl_gen_config(gen, yajl_gen_print_callback, analyze_print,
                            stdout);
            printf("\"instance\":");
            yajl_gen_string(gen, (const unsigned char *) instance.data,
                            instance.len);
            printf(",");
            yajl_gen_free(gen);
        }

        printf("\"items\":[");

    } else {
        printf("Provider:   %s\n", provider);
        analyze_report_string(stdout, "Instance:", instance);
        printf("Items:      %llu", (unsigned long long) an->items);

        for (kind = MEDIA_ITEM_MESSAGE; kind <= MEDIA_ITEM_OTHER; kind++) {
            if (an->kinds[kind] > 0) {
                printf(", %llu %s", (unsigned long long) an->kinds[kind],
                       media_item_kind_name((media_item_kind_t) kind));
            }
        }

        printf("\nMedia:      %llu\n", (unsigned long long) an->media);
    }

    if (analyze_copy(an->out) != 0) {
        return MEDIACTL_FAILED;
    }

    if (an->gen != NULL) {
        printf("]}\n");
    }

    return fflush(stdout) == 0 ? 0 : MEDIACTL_FAILED;
}


static int
analyze_copy(FILE *from)
{
    size_t       n;
    static char  buf[ANALYZE_BUFFER_SIZE];

    rewind(from);

    while ((n = fread(buf, 1, sizeof(buf), from)) > 0) {
        if (fwrite(buf, 1, n, stdout) != n) {
            fprintf(stderr, "mediactl: cannot write: %s\n", strerror(errno));
            return -1;
        }
    }

    return ferror(from) ? -1 : 0;
}


static void
analyze_print(void *ctx, const char *s, size_t len)
{
    /* errors show at fflush() */
    (void) fwrite(s, 1, len, ctx);
}


static int
analyze_item(void *data, const media_webhook_item_t *item)
{
    analyze_t  *an = data;

    if (an->gen != NULL) {

        if (an->items > 0) {
            analyze_print(an->out, ",", 1);
        }

        analyze_json_item(an->gen, item);
        yajl_gen_reset(an->gen, NULL);
    }

    an->items++;
    an->kinds[item->kind]++;
    an->media += item->media != NULL;

    if (an->gen == NULL) {
        analyze_report_item(an, item);
    }

    return 1;
}


static void
analyze_json_item(yajl_gen gen, const media_webhook_item_t *item)
{
    const char   *status;
    media_str_t   kind, name;

    status = media_status_name(item->status);
    media_str_set(&name, status, strlen(status));

    media_str_set(&kind, media_item_kind_name(item->kind),
                  strlen(media_item_kind_name(item->kind)));

    yajl_gen_map_open(gen);

    analyze_json_string(gen, "kind", kind);
    analyze_json_string(gen, "event", item->event);
    analyze_json_string(gen, "message_id", item->message_id);
    analyze_json_string(gen, "chat", item->chat);
    analyze_json_string(gen, "chat_raw", item->chat_raw);
    analyze_json_string(gen, "chat_alt", item->chat_alt);
    analyze_json_string(gen, "sender", item->sender);
    analyze_json_string(gen, "sender_raw", item->sender_raw);
    analyze_json_string(gen, "sender_name", item->sender_name);
    analyze_json_boolean(gen, "from_me", item->from_me);
    analyze_json_boolean(gen, "is_group", item->is_group);
    analyze_json_integer(gen, "timestamp", item->timestamp);
    analyze_json_string(gen, "type", item->type);
    analyze_json_string(gen, "text", item->text);
    analyze_json_string(gen, "status", name);
    analyze_json_string(gen, "reply_to", item->reply_to);
    analyze_json_string(gen, "target_id", item->target_id);

    if (item->has_location) {
        analyze_json_double(gen, "latitude", item->latitude);
        analyze_json_double(gen, "longitude", item->longitude);
    }

    analyze_json_string(gen, "address", item->address);
    analyze_json_string(gen, "profile_pic_url", item->profile_pic_url);
    analyze_json_string(gen, "error_code", item->error_code);
    analyze_json_string(gen, "error_text", item->error_text);
    analyze_json_string(gen, "callback_data", item->callback_data);
    analyze_json_string(gen, "pricing", item->pricing);

    if (item->media != NULL) {
        analyze_json_name(gen, "media");
        analyze_json_media(gen, item->media);
    }

    yajl_gen_map_close(gen);
}


static void
analyze_json_media(yajl_gen gen, const media_webhook_media_t *media)
{
    unsigned  i;

    yajl_gen_map_open(gen);

    analyze_json_string(gen, "type", media->type);
    analyze_json_string(gen, "mimetype", media->mimetype);
    analyze_json_string(gen, "file_name", media->file_name);
    analyze_json_string(gen, "caption", media->caption);
    analyze_json_string(gen, "title", media->title);
    analyze_json_integer(gen, "file_length", media->file_length);
    analyze_json_bytes(gen, "sha256", media->sha256);
    analyze_json_bytes(gen, "enc_sha256", media->enc_sha256);
    analyze_json_bytes(gen, "media_key", media->media_key);
    analyze_json_integer(gen, "media_key_timestamp",
                         media->media_key_timestamp);
    analyze_json_string(gen, "direct_path", media->direct_path);
    analyze_json_string(gen, "url", media->url);
    analyze_json_string(gen, "media_url", media->media_url);
    analyze_json_string(gen, "id", media->id);
    analyze_json_integer(gen, "width", media->width);
    analyze_json_integer(gen, "height", media->height);
    analyze_json_integer(gen, "seconds", media->seconds);

    if (media->has_ptt) {
        analyze_json_boolean(gen, "ptt", media->ptt);
    }

    analyze_json_bytes(gen, "waveform", media->waveform);
    analyze_json_integer(gen, "page_count", media->page_count);

    if (media->has_animated) {
        analyze_json_boolean(gen, "is_animated", media->is_animated);
    }

    analyze_json_integer(gen, "base64_offset", media->base64_offset);
    analyze_json_integer(gen, "base64_length", media->base64_length);
    analyze_json_boolean(gen, "decryptable", media->decryptable);

    analyze_json_name(gen, "missing");
    yajl_gen_array_open(gen);

    for (i = 0; i < media->nmissing; i++) {
        analyze_json_name(gen, media->missing[i]);
    }

    yajl_gen_array_close(gen);
    yajl_gen_map_close(gen);
}


static void
analyze_json_name(yajl_gen gen, const char *name)
{
    yajl_gen_string(gen, (const unsigned char *) name, strlen(name));
}


static void
analyze_json_string(yajl_gen gen, const char *name, media_str_t value)
{
    if (value.len > 0) {
        analyze_json_name(gen, name);
        yajl_gen_string(gen, (const unsigned char *) value.data, value.len);
    }
}


static void
analyze_json_bytes(yajl_gen gen, const char *name, media_str_t value)
{
    char         *text;
    media_str_t   base64;

    if (value.len == 0) {
        return;
    }

    text = malloc(MEDIA_BASE64_LEN(value.len));
    if (text == NULL) {
        return;
    }

    media_str_set(&base64, text,
                  media_base64_encode(text, value.data, value.len));
    analyze_json_string(gen, name, base64);

    free(text);
}


static void
analyze_json_integer(yajl_gen gen, const char *name, int64_t value)
{
    if (value >= 0) {
        analyze_json_name(gen, name);
        yajl_gen_integer(gen, value);
    }
}


/* the shortest text that reads back as the same number */
static void
analyze_json_double(yajl_gen gen, const char *name, double value)
{
    int   n, digits;
    char  text[40];

    for (n = 0, digits = 15; digits <= 17; digits++) {
        n = snprintf(text, sizeof(text), "%.*g", digits, value);

        if (strtod(text, NULL) == value) {
            break;
        }
    }

    analyze_json_name(gen, name);
    yajl_gen_number(gen, text, (size_t) n);
}


static void
analyze_json_boolean(yajl_gen gen, const char *name, int value)
{
    analyze_json_name(gen, name);
    yajl_gen_bool(gen, value);
}


static void
analyze_report_item(analyze_t *an, const media_webhook_item_t *item)
{
    FILE         *out;
    media_str_t   status;

    out = an->out;

    fprintf(out, "\nItem %llu: %s\n", (unsigned long long) an->items,
            media_item_kind_name(item->kind));

    media_str_set(&status, media_status_name(item->status),
                  strlen(media_status_name(item->status)));

    analyze_report_string(out, "Event:", item->event);
    analyze_report_string(out, "Message:", item->message_id);
    analyze_report_string(out, "Type:", item->type);
    analyze_report_string(out, "Status:", status);
    analyze_report_string(out, "Client:", item->sender_name);
    analyze_report_string(out, "Sender:", item->sender);
    analyze_report_string(out, "Chat:", item->chat);

    if (item->kind == MEDIA_ITEM_MESSAGE) {
        fprintf(out, "From us:    %s\nGroup:      %s\n",
                item->from_me ? "yes" : "no", item->is_group ? "yes" : "no");
    }

    if (item->timestamp >= 0) {
        fprintf(out, "Timestamp:  %lld\n", (long long) item->timestamp);
    }

    analyze_report_string(out, "Text:", item->text);
    analyze_report_string(out, "Reply to:", item->reply_to);
    analyze_report_string(out, "About:", item->target_id);

    if (item->has_location) {
        fprintf(out, "Location:   %.7g, %.7g\n", item->latitude,
                item->longitude);
    }

    analyze_report_string(out, "Picture:", item->profile_pic_url);
    analyze_report_string(out, "Error:", item->error_code);
    analyze_report_string(out, "Reason:", item->error_text);

    if (item->media != NULL) {
        analyze_report_media(out, item->media);
    }
}


static void
analyze_report_media(FILE *out, const media_webhook_media_t *media)
{
    unsigned  i;

    analyze_report_string(out, "Media:", media->type);
    analyze_report_string(out, "  Type:", media->mimetype);
    analyze_report_string(out, "  Name:", media->file_name);

    if (media->file_length >= 0) {
        fprintf(out, "  Size:     %lld bytes\n",
                (long long) media->file_length);
    }

    if (media->width >= 0 && media->height >= 0) {
        fprintf(out, "  Pixels:   %lldx%lld\n", (long long) media->width,
                (long long) media->height);
    }

    if (media->seconds >= 0) {
        fprintf(out, "  Length:   %lld s%s\n", (long long) media->seconds,
                media->ptt ? ", voice note" : "");
    }

    if (media->page_count >= 0) {
        fprintf(out, "  Pages:    %lld\n", (long long) media->page_count);
    }

    analyze_report_string(out, "  Path:", media->direct_path);
    analyze_report_string(out, "  URL:", media->url);
    analyze_report_string(out, "  Id:", media->id);

    if (media->base64_length > 0) {
        fprintf(out, "  Inline:   %lld bytes of base64\n",
                (long long) media->base64_length);
    }

    fprintf(out, "  Decrypt:  %s\n",
            media->decryptable ? "possible" : "not possible");

    for (i = 0; i < media->nmissing; i++) {
        fprintf(out, "  Missing:  %s\n", media->missing[i]);
    }
}


/* control characters, which a terminal would act on, as spaces */
static void
analyze_report_string(FILE *out, const char *name, media_str_t value)
{
    size_t         i;
    unsigned char  ch;

    if (value.len == 0) {
        return;
    }

    fprintf(out, "%-11s ", name);

    for (i = 0; i < value.len; i++) {
        ch = (unsigned char) value.data[i];
        fputc(ch < 0x20 || ch == 0x7f ? ' ' : ch, out);
    }

    fputc('\n', out);
}
