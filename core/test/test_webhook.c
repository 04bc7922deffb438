/*
 * Copyright (C) ngx_media contributors
 *
 * The analysis of webhooks over the corpus in t/data/payloads: what each body
 * holds, however it is cut; bounds on memory; damaged bodies.
 */

#include <dirent.h>
#include <sys/stat.h>

#include "media_codec.h"
#include "media_webhook.h"
#include "test.h"


#define CORPUS       "t/data/payloads"
#define CORPUS_MAX   1024
#define DUMP_MAX     (1024 * 1024)
#define FUZZ_ROUNDS  30


typedef struct {
    char      *text;
    size_t     len;
    unsigned   items;
    unsigned   kinds[MEDIA_ITEM_OTHER + 1];
    unsigned   media;
    unsigned   decryptable;
    unsigned   stop;                /* items until the callback stops it */
} dump_t;


static const struct {
    const char  *file;
    const char  *line;
} expectations[] = {
    { "evolution/v1_image_base64_cut.json", "0.kind=message" },
    { "evolution/v1_image_base64_cut.json", "0.chat=59178824347" },
    { "evolution/v1_image_base64_cut.json", "0.instance=tigo1" },
    { "evolution/v1_image_base64_cut.json", "0.media.file_length=52046" },
    { "evolution/v1_image_base64_cut.json", "0.media.base64_length=225" },
    { "evolution/v1_image_base64_cut.json", "0.media.media_key="
      "ZHNEz7RxTLQoIMkyaWfL2r5ff5ODiGYwoCIVOFj7E6k=" },
    { "evolution/v1_fromme_video_base64_cut.json", "0.sender=59166079442" },
    { "evolution/v1_audio_ptt_base64_cut.json", "0.media.key_type=ptt" },
    { "evolution/v1_group_lid_text.json", "0.sender=24444210777486@lid" },
    { "evolution/v1_connection_update_refused_428.json", "0.type=refused" },
    { "evolution/v1_connection_update_refused_428.json",
      "0.error_code=428" },
    { "evolution/v2_236_text_lid_alt_pn.json", "0.chat=5588960572466" },
    { "evolution/v2_236_text_lid_alt_pn.json",
      "0.chat_alt=76358277923884@lid" },
    { "evolution/v2_236_text_pn_alt_lid.json", "0.chat=5531662608859" },
    { "evolution/v2_233_text_remotejidalt_device.json",
      "0.chat_alt=231268215684591@lid" },
    { "evolution/v2_230_image_lid_senderpn_trimmed.json",
      "0.chat=5545966507066" },
    { "evolution/v2_230_image_lid_senderpn_trimmed.json",
      "0.media.missing=mediaKey,directPath,fileSha256,fileEncSha256" },
    { "evolution/v2_230_list_response.json", "0.type=interactive" },
    { "evolution/v2_230_list_response.json",
      "0.reply_to=3EB060F42B56D9F572036DD7DFD58C58F81A96DB" },
    { "evolution/v2_22x_sticker_web_whatsapp_url_partial.json",
      "0.media.missing=fileEncSha256" },
    { "evolution/v2_23x_messages_update_deleted.json", "0.status=deleted" },
    { "evolution/v2_23x_messages_update_deleted.json",
      "0.message_id=A5561E44C2A63682E4295B52F484C14E" },
    { "evolution/v2_236_contacts_upsert_array.json", "0.kind=contact" },
    { "evolution/v2_236_contacts_upsert_array.json",
      "0.profile_pic_url=url-da-foto-ou-null" },
    { "evolution/v2_237_text_n8n_headers_masked.json",
      "0.instance=sorrisobot" },
    { "evolution/derived_235_audio_ptt.json", "0.media.file_length=6498" },
    { "evolution/derived_236_image.json", "0.media.file_length=255244" },
    { "evolution/derived_236_image.json", "0.media.media_key="
      "m5veqQdMyA5HC8/BaXcY6LGF5j391cYYcMPCxrfOXYw=" },
    { "evolution/derived_236_ptv.json", "0.media.key_type=ptv" },
    { "evolution/derived_236_ptv.json", "0.media.type=video" },
    { "evolution/derived_236_viewonce_v2_image.json",
      "0.media.view_once=1" },
    { "evolution/derived_236_ephemeral_image.json", "0.type=image" },
    { "evolution/derived_236_status_broadcast_image.json",
      "0.chat=status@broadcast" },
    { "evolution/derived_236_status_broadcast_image.json",
      "0.sender=5531662608859" },
    { "evolution/derived_236_location.json", "0.latitude=-15.7666614" },
    { "evolution/proto_b6_document.json", "0.media.type=document" },
    { "evolution/v1_request_sendmedia_image_url.json", "0.kind=other" },

    { "wapi/rx_text_reply_quoted.json",
      "0.reply_to=43CD94A22E40E725B8117D20E9B56175" },
    { "wapi/rx_text_reply_quoted.json", "0.type=text" },
    { "wapi/rx_stub_ciphertext_undecryptable.json", "0.type=unsupported" },
    { "wapi/rx_stub_change_role_lid_sender.json",
      "0.sender=227057979319923@lid" },
    { "wapi/rx_only_messagecontextinfo.json", "0.type=unknown" },
    { "wapi/rx_image_group_senderkey_forwarded_ephemeral.json",
      "0.is_group=1" },
    { "wapi/rx_image_group_senderkey_forwarded_ephemeral.json",
      "0.media.decryptable=1" },
    { "wapi/tx_ptv.json", "0.from_me=1" },
    { "wapi/tx_sticker.json", "0.media.is_animated=1" },
    { "wapi/tx_reaction_nested_fromapi.json",
      "0.target_id=AF3DE0AFE25D2CD6547B2462357DF2A6" },
    { "wapi/tx_protocol_revoke_group.json",
      "0.target_id=A4F4EA8EFD56469419A3F7AFFDA217D7" },
    { "wapi/status_read.json", "0.status=read" },
    { "wapi/status_read.json", "0.timestamp=1749929175" },
    { "wapi/v2026_rx_template_button_reply.json",
      "0.chat_alt=281959867561978@lid" },
    { "wapi/api_send_text_200.json", "0.kind=other" },

    { "cloudapi/real_image_caption_url_bsuid_2026.json",
      "0.instance=1067384637996302" },
    { "cloudapi/real_image_caption_url_bsuid_2026.json",
      "0.media.id=29839749081241497" },
    { "cloudapi/real_image_caption_url_bsuid_2026.json",
      "0.text=Hola quiero un caf\303\251" },
    { "cloudapi/real_audio_voice_2023.json", "0.media.ptt=1" },
    { "cloudapi/pywa_message_status_failed.json", "0.status=failed" },
    { "cloudapi/pywa_message_status_failed.json", "0.error_code=130472" },
    { "cloudapi/pywa_message_unreaction_empty.json",
      "0.target_id=wamid.yzxyzx=" },
    { "cloudapi/pywa_message_interactive_message_with_err.json",
      "0.error_code=131000" },
    { "cloudapi/pywa_edited_message_image.json",
      "0.text=Updated image caption" },
    { "cloudapi/pywa_outgoing_message_text.json", "0.from_me=1" },
    { "cloudapi/netflie_multiple_text_notification.json", "1.kind=message" },
    { "cloudapi/courier_no_from.json", "0.sender_name=Kerry Fisher" },
    { "cloudapi/courier_hello_bsuid_in_from.json", "0.sender=US.1234" },
    { "cloudapi/courier_group_message.json", "0.chat=555555555" },
    { "cloudapi/courier_error_errors.json", "0.kind=other" },
    { "cloudapi/courier_ignore_status.json", "0.status=deleted" }
};


static const struct {
    const char  *raw;
    const char  *canonical;
} addresses[] = {
    { "5511987654321@s.whatsapp.net", "5511987654321" },
    { "553187654321@s.whatsapp.net", "5531987654321" },
    { "553187654321:12@s.whatsapp.net", "5531987654321" },
    { "553187654321_1:12@s.whatsapp.net", "5531987654321" },
    { "553187654321@c.us", "5531987654321" },
    { "553187654321@C.US", "5531987654321" },
    { "553187654321", "5531987654321" },
    { "+55 (31) 8765-4321", "5531987654321" },
    { " 5531987654321 ", "5531987654321" },
    { "553132345678", "553132345678" },         /* a landline */
    { "553157654321", "553157654321" },
    { "550187654321", "550187654321" },         /* no area code */
    { "543187654321", "543187654321" },
    { "15550783881", "15550783881" },
    { "120363025246125486@g.us", "120363025246125486@g.us" },
    { "553187654321-1609887215@g.us", "553187654321-1609887215@g.us" },
    { "133619394645877:20@lid", "133619394645877@lid" },
    { "133619394645877@hosted.lid", "133619394645877@lid" },
    { "120363144038483540@newsletter", "120363144038483540@newsletter" },
    { "status@broadcast", "status@broadcast" },
    { "1754435663@broadcast", "1754435663@broadcast" },
    { "0@s.whatsapp.net", "0" },
    { "@s.whatsapp.net", "" },
    { "", "" },
    { "BR.13491208655302741918", "BR.13491208655302741918" },
    { "PHONE_NUMBER", "PHONE_NUMBER" },
    { "bla", "bla" },
    { "x@unknown.example", "x@unknown.example" }
};


static void
line(dump_t *dump, const char *name, media_str_t value)
{
    int  n;

    if (value.len == 0 || dump->len + value.len + 128 > DUMP_MAX) {
        return;
    }

    n = sprintf(dump->text + dump->len, "%u.%s=", dump->items, name);
    dump->len += (size_t) n;
    memcpy(dump->text + dump->len, value.data, value.len);
    dump->len += value.len;
    dump->text[dump->len++] = '\n';
    dump->text[dump->len] = '\0';
}


static void
bytes(dump_t *dump, const char *name, media_str_t value)
{
    char         *text;
    media_str_t   base64;

    text = malloc(MEDIA_BASE64_LEN(value.len) + 1);
    if (text == NULL) {
        exit(2);
    }

    media_str_set(&base64, text,
                  media_base64_encode(text, value.data, value.len));
    line(dump, name, base64);

    free(text);
}


static void
number(dump_t *dump, const char *name, int64_t value)
{
    char         text[32];
    media_str_t  s;

    media_str_set(&s, text, (size_t) sprintf(text, "%lld",
                                             (long long) value));
    line(dump, name, s);
}


static void
string(dump_t *dump, const char *name, const char *value)
{
    media_str_t  s;

    media_str_set(&s, value, strlen(value));
    line(dump, name, s);
}


static void
dump_media(dump_t *dump, const media_webhook_media_t *media)
{
    char      missing[128];
    unsigned  i;

    line(dump, "media.type", media->type);
    line(dump, "media.key_type", media->key_type);
    line(dump, "media.mimetype", media->mimetype);
    line(dump, "media.file_name", media->file_name);
    line(dump, "media.caption", media->caption);
    number(dump, "media.file_length", media->file_length);
    bytes(dump, "media.sha256", media->sha256);
    bytes(dump, "media.enc_sha256", media->enc_sha256);
    bytes(dump, "media.media_key", media->media_key);
    bytes(dump, "media.waveform", media->waveform);
    bytes(dump, "media.thumbnail", media->thumbnail);
    line(dump, "media.direct_path", media->direct_path);
    line(dump, "media.url", media->url);
    line(dump, "media.media_url", media->media_url);
    line(dump, "media.id", media->id);
    number(dump, "media.seconds", media->seconds);
    number(dump, "media.base64_offset", media->base64_offset);
    number(dump, "media.base64_length", media->base64_length);
    number(dump, "media.ptt", media->ptt);
    number(dump, "media.is_animated", media->is_animated);
    number(dump, "media.view_once", media->view_once);
    number(dump, "media.decryptable", media->decryptable);

    missing[0] = '\0';

    for (i = 0; i < media->nmissing; i++) {
        strcat(missing, i ? "," : "");
        strcat(missing, media->missing[i]);
    }

    string(dump, "media.missing", missing);

    dump->media++;
    dump->decryptable += media->decryptable;
}


static int
dump_item(void *data, const media_webhook_item_t *item)
{
    char     text[64];
    dump_t  *dump = data;

    string(dump, "kind", media_item_kind_name(item->kind));
    string(dump, "provider", media_provider_name(item->provider));
    line(dump, "instance", item->instance);
    line(dump, "event", item->event);
    line(dump, "message_id", item->message_id);
    line(dump, "chat", item->chat);
    line(dump, "chat_raw", item->chat_raw);
    line(dump, "chat_alt", item->chat_alt);
    line(dump, "sender", item->sender);
    line(dump, "sender_raw", item->sender_raw);
    line(dump, "sender_name", item->sender_name);
    line(dump, "type", item->type);
    line(dump, "text", item->text);
    number(dump, "timestamp", item->timestamp);
    string(dump, "status", media_status_name(item->status));
    line(dump, "reply_to", item->reply_to);
    line(dump, "target_id", item->target_id);
    line(dump, "profile_pic_url", item->profile_pic_url);
    line(dump, "error_code", item->error_code);
    line(dump, "error_text", item->error_text);
    number(dump, "from_me", item->from_me);
    number(dump, "is_group", item->is_group);
    line(dump, "raw", item->raw);

    if (item->has_location) {
        sprintf(text, "%.10g", item->latitude);
        string(dump, "latitude", text);
    }

    if (item->media != NULL) {
        dump_media(dump, item->media);
    }

    dump->items++;
    dump->kinds[item->kind]++;

    return dump->stop == 0 || dump->items < dump->stop;
}


/* one body, in pieces of step bytes */
static int
analyze(dump_t *dump, media_provider_t provider, const char *s, size_t len,
    size_t step)
{
    int               rc;
    char             *copy;
    size_t            n;
    media_webhook_t  *wh;

    dump->len = 0;
    dump->text[0] = '\0';
    dump->items = 0;

    wh = media_webhook_create(provider, dump_item, dump);
    if (wh == NULL) {
        exit(2);
    }

    for (rc = MEDIA_OK; len > 0 && rc == MEDIA_OK; s += n, len -= n) {
        n = step < len ? step : len;

        copy = malloc(n);
        if (copy == NULL) {
            exit(2);
        }

        memcpy(copy, s, n);
        rc = media_webhook_feed(wh, copy, n);
        free(copy);
    }

    if (rc == MEDIA_OK) {
        rc = media_webhook_finish(wh);
    }

    if (rc != MEDIA_OK) {
        ok(media_webhook_error(wh)[0] != '\0', "an error has a reason");
    }

    media_webhook_free(wh);

    return rc;
}


static int
has_line(const dump_t *dump, const char *wanted)
{
    char  *p, whole[512];

    snprintf(whole, sizeof(whole), "%s\n", wanted);
    p = strstr(dump->text, whole);

    return p != NULL && (p == dump->text || p[-1] == '\n');
}


/* counts the corpus by kind, and cuts each body differently */
static void
test_directory(const char *name, dump_t *dump, dump_t *again)
{
    int             rc;
    char            path[CORPUS_MAX], *body;
    DIR            *dir;
    size_t          i, len;
    unsigned        files;
    struct dirent  *entry;

    static const size_t  steps[] = { 1, 7, 4096 };

    memset(dump->kinds, 0, sizeof(dump->kinds));
    dump->media = 0;
    dump->decryptable = 0;
    files = 0;

    snprintf(path, sizeof(path), CORPUS "/%s", name);
    dir = opendir(path);
    if (dir == NULL) {
        exit(2);
    }

    while ((entry = readdir(dir)) != NULL) {
        len = strlen(entry->d_name);

        if (len < 5 || strcmp(entry->d_name + len - 5, ".json") != 0
            || strstr(entry->d_name, "INVALID") != NULL)
        {
            continue;
        }

        files++;
        snprintf(path, sizeof(path), CORPUS "/%s/%.200s", name,
                 entry->d_name);
        body = test_read_file(path, &len);

        rc = analyze(dump, MEDIA_PROVIDER_UNKNOWN, body, len, len);
        ok(rc == MEDIA_OK, "%s: %d", path, rc);
        ok(dump->items > 0, "%s has an item", path);
        ok(strstr(dump->text, "apikey") == NULL, "%s: no apikey in raw",
           path);

        for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
            rc = analyze(again, MEDIA_PROVIDER_UNKNOWN, body, len, steps[i]);
            ok(rc == MEDIA_OK && again->len == dump->len
               && memcmp(again->text, dump->text, dump->len) == 0,
               "%s in pieces of %zu", path, steps[i]);
        }

        free(body);
    }

    closedir(dir);

    printf("%-10s %3u files: %u message, %u status, %u contact, "
           "%u connection, %u other; %u media, %u decryptable\n", name,
           files, dump->kinds[MEDIA_ITEM_MESSAGE],
           dump->kinds[MEDIA_ITEM_STATUS], dump->kinds[MEDIA_ITEM_CONTACT],
           dump->kinds[MEDIA_ITEM_CONNECTION], dump->kinds[MEDIA_ITEM_OTHER],
           dump->media, dump->decryptable);

    ok(files > 0, "%s has files", name);
}


static void
test_expectations(dump_t *dump)
{
    char    path[CORPUS_MAX], *body;
    size_t  i, len;

    for (i = 0; i < sizeof(expectations) / sizeof(expectations[0]); i++) {
        snprintf(path, sizeof(path), CORPUS "/%s", expectations[i].file);
        body = test_read_file(path, &len);

        analyze(dump, MEDIA_PROVIDER_UNKNOWN, body, len, len);
        ok(has_line(dump, expectations[i].line), "%s: %s",
           expectations[i].file, expectations[i].line);

        free(body);
    }
}


static void
test_addresses(void)
{
    char         buf[64];
    size_t       i, n;
    ssize_t      len;
    media_str_t  raw;

    for (i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        media_str_set(&raw, addresses[i].raw, strlen(addresses[i].raw));

        len = media_address_canonical(buf, sizeof(buf), raw);
        ok(len == (ssize_t) strlen(addresses[i].canonical)
           && strcmp(buf, addresses[i].canonical) == 0, "%s: %s",
           addresses[i].raw, len < 0 ? "no space" : buf);

        for (n = 0; n < 8 && n <= strlen(addresses[i].canonical); n++) {
            ok(media_address_canonical(buf, n, raw) == MEDIA_NOSPACE,
               "%s into %zu bytes", addresses[i].raw, n);
        }
    }
}


/* head, n times body with commas between, tail */
static char *
repeat(const char *head, const char *body, size_t n, const char *tail,
    size_t *len)
{
    char    *s, *p;
    size_t   i;

    s = malloc(strlen(head) + n * (strlen(body) + 1) + strlen(tail) + 1);
    if (s == NULL) {
        exit(2);
    }

    p = s + sprintf(s, "%s", head);

    for (i = 0; i < n; i++) {
        p += sprintf(p, "%s%s", i ? "," : "", body);
    }

    p += sprintf(p, "%s", tail);
    *len = (size_t) (p - s);

    return s;
}


static void
test_bounds(dump_t *dump)
{
    int     rc;
    char   *body;
    size_t  len;

    static const char  message[] =
        "{\"key\":{\"remoteJid\":\"5511987654321@s.whatsapp.net\","
        "\"fromMe\":false,\"id\":\"A\"},\"message\":{\"conversation\":\"x\"}}";

    /* more than there is room to keep until sender is known */

    body = repeat("{\"event\":\"messages.set\",\"instance\":\"i\",\"data\":[",
                  message, 20000, "],\"sender\":\"1@s.whatsapp.net\"}", &len);
    rc = analyze(dump, MEDIA_PROVIDER_UNKNOWN, body, len, 65536);
    ok(rc == MEDIA_OK && dump->items == 20000, "20000 items: %d, %u", rc,
       dump->items);

    dump->stop = 5;
    rc = analyze(dump, MEDIA_PROVIDER_UNKNOWN, body, len, 65536);
    ok(rc == MEDIA_DENIED && dump->items == 5, "stopped: %d, %u", rc,
       dump->items);
    dump->stop = 0;
    free(body);

    body = repeat("{\"object\":\"whatsapp_business_account\",\"entry\":[{"
                  "\"changes\":[{\"value\":{\"messages\":[",
                  "{\"id\":\"A\",\"from\":\"1\",\"type\":\"text\","
                  "\"text\":{\"body\":\"x\"}}", 20000,
                  "]},\"field\":\"messages\"}]}]}", &len);
    rc = analyze(dump, MEDIA_PROVIDER_UNKNOWN, body, len, 65536);
    ok(rc == MEDIA_OK && dump->items == 20000, "20000 messages: %d, %u", rc,
       dump->items);

    /* not what the instance's provider sends */

    rc = analyze(dump, MEDIA_PROVIDER_EVOLUTION, body, len, 65536);
    ok(rc == MEDIA_OK && has_line(dump, "0.kind=other"), "forced: %d", rc);
    free(body);

    /* one item that is too large, as a list's element and on its own */

    body = repeat("{\"event\":\"messages.upsert\",\"data\":[{\"x\":[", "1",
                  400000, "]}]}", &len);
    rc = analyze(dump, MEDIA_PROVIDER_UNKNOWN, body, len, 65536);
    ok(rc == MEDIA_NOSPACE, "too large an item: %d", rc);
    free(body);

    body = repeat("{\"event\":\"messages.upsert\",\"data\":{\"x\":[", "1",
                  400000, "]}}", &len);
    rc = analyze(dump, MEDIA_PROVIDER_UNKNOWN, body, len, 65536);
    ok(rc == MEDIA_NOSPACE, "too large an object: %d", rc);
    free(body);

    body = repeat("", "[", 0, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
                  "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", &len);
    rc = analyze(dump, MEDIA_PROVIDER_UNKNOWN, body, len, 1);
    ok(rc == MEDIA_ERROR, "nested too deep: %d", rc);
    free(body);

    rc = analyze(dump, MEDIA_PROVIDER_UNKNOWN, "{\"a\": \"b\" \"c\"}", 14, 1);
    ok(rc == MEDIA_ERROR, "a missing comma: %d", rc);
}


/* a file within the body costs no memory and keeps its place */
static void
test_inline_file(dump_t *dump)
{
    int     rc;
    char   *body, wanted[64];
    size_t  len, head;

    static const char  begin[] =
        "{\"event\":\"messages.upsert\",\"instance\":\"i\",\"data\":{\"key\":"
        "{\"remoteJid\":\"1@s.whatsapp.net\",\"id\":\"A\"},\"message\":{"
        "\"imageMessage\":{\"caption\":\"c\"},\"base64\":\"";

    body = repeat(begin, "AAAAAAA", 4000000, "\"}}}", &len);
    head = strlen(begin);

    /* the commas between are none of base64, which nothing here looks at */

    rc = analyze(dump, MEDIA_PROVIDER_UNKNOWN, body, len, 65536);
    ok(rc == MEDIA_OK && dump->items == 1, "inline file: %d", rc);

    snprintf(wanted, sizeof(wanted), "0.media.base64_offset=%zu", head);
    ok(has_line(dump, wanted), "offset of the inline file");

    snprintf(wanted, sizeof(wanted), "0.media.base64_length=%zu",
             len - head - 4);
    ok(has_line(dump, wanted), "length of the inline file");
    ok(strstr(dump->text, "\"base64\"") == NULL, "left out of raw");

    free(body);
}


/* damaged bodies: any verdict, but the same however they are cut */
static void
test_fuzz(const char *name, dump_t *dump, dump_t *again)
{
    int             i, n, rc, other;
    char            path[CORPUS_MAX], *body;
    DIR            *dir;
    size_t          len, at;
    uint64_t        seed;
    struct dirent  *entry;

    static const char  alphabet[] = "{}[]\",:\\0179-e.tnfu/ \303a@";

    seed = 20261121;

    snprintf(path, sizeof(path), CORPUS "/%s", name);
    dir = opendir(path);
    if (dir == NULL) {
        exit(2);
    }

    while ((entry = readdir(dir)) != NULL) {
        len = strlen(entry->d_name);

        if (len < 5 || strcmp(entry->d_name + len - 5, ".json") != 0) {
            continue;
        }

        snprintf(path, sizeof(path), CORPUS "/%s/%.200s", name,
                 entry->d_name);
        body = test_read_file(path, &len);

        for (i = 0; i < FUZZ_ROUNDS; i++) {

            for (n = 0; n < 2; n++) {
                at = test_random(&seed) % len;
                body[at] = alphabet[test_random(&seed)
                                    % (sizeof(alphabet) - 1)];
            }

            at = i % 3 ? len : test_random(&seed) % len;

            rc = analyze(dump, (media_provider_t) (i % 4), body, at, at);
            other = analyze(again, (media_provider_t) (i % 4), body, at, 3);

            if (rc != other
                || (rc == MEDIA_OK && strcmp(dump->text, again->text) != 0))
            {
                ok(0, "%s round %d: %d and %d", path, i, rc, other);
            }

            if (i % 5 == 4) {
                free(body);
                body = test_read_file(path, &len);
            }
        }

        free(body);
    }

    closedir(dir);
}


int
main(void)
{
    size_t  i;
    dump_t  dump, again;

    static const char *const  directories[] = {
        "evolution", "wapi", "cloudapi", "made"
    };

    memset(&dump, 0, sizeof(dump_t));
    memset(&again, 0, sizeof(dump_t));

    dump.text = malloc(DUMP_MAX);
    again.text = malloc(DUMP_MAX);

    if (dump.text == NULL || again.text == NULL) {
        return 2;
    }

    for (i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
        test_directory(directories[i], &dump, &again);
    }

    test_expectations(&dump);
    test_addresses();
    test_bounds(&dump);
    test_inline_file(&dump);

    for (i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
        test_fuzz(directories[i], &dump, &again);
    }

    free(dump.text);
    free(again.text);

    return test_done();
}
