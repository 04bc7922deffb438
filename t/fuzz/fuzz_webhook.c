/*
 * Copyright (C) ngx_media contributors
 *
 * Webhook analysis: the same items however a body is cut, each as
 * media_webhook.h promises it.
 */

#include "fuzz.h"
#include "media_codec.h"
#include "media_json.h"
#include "media_webhook.h"


typedef struct {
    const char  *body;
    size_t       size;
    uint64_t     sum;
} reader_t;


static int run(reader_t *reader, media_provider_t provider, fuzz_cut_t cut,
    const uint8_t *data, size_t size);
static int on_item(void *data, const media_webhook_item_t *item);
static void check_text(reader_t *reader, media_str_t s);
static void check_address(media_str_t chat);
static void check_media(reader_t *reader, const media_webhook_media_t *m);
static void check_raw(media_str_t raw);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int               rc;
    uint64_t          sum;
    reader_t          reader;
    media_provider_t  provider;

    for (provider = MEDIA_PROVIDER_UNKNOWN; provider <= MEDIA_PROVIDER_CLOUDAPI;
         provider++)
    {
        rc = run(&reader, provider, FUZZ_WHOLE, data, size);
        sum = reader.sum;

        fuzz_check(run(&reader, provider, FUZZ_PIECES, data, size) == rc);
        fuzz_check(rc != MEDIA_OK || reader.sum == sum);
    }

    fuzz_check(run(&reader, MEDIA_PROVIDER_UNKNOWN, FUZZ_WHOLE, data, size)
               == run(&reader, MEDIA_PROVIDER_UNKNOWN, FUZZ_BYTES, data,
                      size));

    return 0;
}


static int
run(reader_t *reader, media_provider_t provider, fuzz_cut_t cut,
    const uint8_t *data, size_t size)
{
    int               rc;
    char             *copy;
    size_t            n, done;
    uint64_t          seed;
    media_webhook_t  *wh;

    reader->body = (const char *) data;
    reader->size = size;
    reader->sum = FUZZ_SUM;

    wh = media_webhook_create(provider, on_item, reader);
    fuzz_check(wh != NULL);

    rc = MEDIA_OK;
    seed = FUZZ_SUM;

    for (done = 0; done < size && rc == MEDIA_OK; done += n) {
        n = fuzz_piece(cut, &seed, data + done, size - done);
        copy = fuzz_copy(data + done, n);
        rc = media_webhook_feed(wh, copy, n);
        free(copy);
    }

    if (rc == MEDIA_OK) {
        rc = media_webhook_finish(wh);
    }

    fuzz_check(rc == MEDIA_OK || rc == MEDIA_ERROR || rc == MEDIA_NOSPACE);

    if (rc == MEDIA_OK) {
        check_text(reader, media_webhook_instance(wh));
        fuzz_number(&reader->sum, media_webhook_provider(wh));
        fuzz_check(provider == MEDIA_PROVIDER_UNKNOWN
                   || media_webhook_provider(wh) == provider);
    }

    media_webhook_free(wh);

    return rc;
}


static int
on_item(void *data, const media_webhook_item_t *item)
{
    size_t     i;
    reader_t  *reader = data;

    const media_str_t  texts[] = {
        item->instance, item->event, item->message_id, item->chat,
        item->chat_raw, item->chat_alt, item->sender, item->sender_raw,
        item->sender_name, item->type, item->text, item->reply_to,
        item->target_id, item->address, item->profile_pic_url,
        item->error_code, item->error_text, item->callback_data,
        item->pricing, item->raw
    };

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        check_text(reader, texts[i]);
    }

    fuzz_check(item->kind <= MEDIA_ITEM_OTHER);
    fuzz_check(item->status <= MEDIA_STATUS_DELETED);
    fuzz_check(item->provider <= MEDIA_PROVIDER_CLOUDAPI);
    fuzz_check(item->timestamp >= -1);

    fuzz_number(&reader->sum, item->provider);
    fuzz_number(&reader->sum, item->kind);
    fuzz_number(&reader->sum, item->timestamp);
    fuzz_number(&reader->sum, item->status);
    fuzz_number(&reader->sum, item->from_me | item->from_api << 1
                              | item->is_group << 2 | item->has_location << 3);

    if (item->has_location) {
        fuzz_bytes(&reader->sum, &item->latitude, sizeof(double));
        fuzz_bytes(&reader->sum, &item->longitude, sizeof(double));
    }

    check_address(item->chat);
    check_address(item->sender);
    check_address(item->chat_alt);
    check_raw(item->raw);

    if (item->media != NULL) {
        check_media(reader, item->media);
    }

    return 1;
}


static void
check_text(reader_t *reader, media_str_t s)
{
    fuzz_check(s.len == 0 || media_utf8_count(s.data, s.len) >= 0);
    fuzz_str(&reader->sum, s);
}


/* what is canonical stays as it is */
static void
check_address(media_str_t address)
{
    char     *again;
    ssize_t   n;

    again = fuzz_copy("", 0);
    again = realloc(again, address.len + 2);
    fuzz_check(again != NULL);

    n = media_address_canonical(again, address.len + 2, address);
    fuzz_check(n == (ssize_t) address.len);
    fuzz_check(n == 0 || memcmp(again, address.data, address.len) == 0);

    free(again);
}


static void
check_media(reader_t *reader, const media_webhook_media_t *m)
{
    size_t    i;
    uint64_t  offset, len;

    const media_str_t  texts[] = {
        m->type, m->key_type, m->mimetype, m->file_name, m->caption, m->title,
        m->direct_path, m->url, m->media_url, m->id
    };
    const media_str_t  bytes[] = {
        m->sha256, m->enc_sha256, m->media_key, m->waveform, m->thumbnail
    };
    const int64_t  numbers[] = {
        m->file_length, m->media_key_timestamp, m->width, m->height,
        m->seconds, m->page_count, m->base64_offset, m->base64_length
    };

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        check_text(reader, texts[i]);
    }

    for (i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
        fuzz_str(&reader->sum, bytes[i]);
    }

    for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        fuzz_check(numbers[i] >= -1);
        fuzz_number(&reader->sum, numbers[i]);
    }

    fuzz_check(m->nmissing <= MEDIA_MISSING_MAX);

    for (i = 0; i < m->nmissing; i++) {
        check_text(reader, fuzz_text(m->missing[i]));
    }

    fuzz_check(!m->decryptable
               || (m->media_key.len == 32 && m->enc_sha256.len == 32));

    if (m->base64_offset >= 0) {
        offset = (uint64_t) m->base64_offset;
        len = (uint64_t) m->base64_length;
        fuzz_check(offset > 0 && offset + len < reader->size
                   && reader->body[offset - 1] == '"'
                   && reader->body[offset + len] == '"');
    }
}


static void
check_raw(media_str_t raw)
{
    media_json_t         *json;
    media_json_limits_t   limits = { 128, 0 };
    media_json_handler_t  handler;

    if (raw.len == 0) {
        return;
    }

    fuzz_check(memchr(raw.data, '\0', raw.len) == NULL);

    memset(&handler, 0, sizeof(handler));
    json = media_json_create(&handler, &limits, NULL);
    fuzz_check(json != NULL);
    fuzz_check(media_json_feed(json, raw.data, raw.len) == MEDIA_OK);
    fuzz_check(media_json_finish(json) == MEDIA_OK);
    media_json_free(json);
}
