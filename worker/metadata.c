/*
 * Copyright (C) ngx_media contributors
 *
 * What the decoder found out about a file, as JSON.
 */

#include <stdlib.h>
#include <string.h>

#include <yajl/yajl_gen.h>

#include "decoder.h"
#include "media_worker.h"


static void metadata_picture(yajl_gen gen, const decoder_answer_t *ans);
static void metadata_preview(yajl_gen gen, const decoder_answer_t *ans);
static void metadata_sound(yajl_gen gen, const decoder_answer_t *ans);
static void metadata_document(yajl_gen gen, const decoder_answer_t *ans);
static void metadata_verdict(yajl_gen gen, const decoder_answer_t *ans);
static void metadata_string(yajl_gen gen, const char *name,
    const char *value);
static void metadata_number(yajl_gen gen, const char *name, int value);
static void metadata_bytes(yajl_gen gen, const char *name,
    const uint8_t *bytes, size_t len);


char *
metadata_json(const decoder_answer_t *ans)
{
    char                 *text;
    size_t                len;
    yajl_gen              gen;
    const unsigned char  *json;

    gen = yajl_gen_alloc(NULL);

    if (gen == NULL) {
        return NULL;
    }

    yajl_gen_map_open(gen);
    metadata_picture(gen, ans);
    metadata_preview(gen, ans);
    metadata_sound(gen, ans);
    metadata_document(gen, ans);
    metadata_verdict(gen, ans);
    /* "" is told, too: what has none was made before tools were recorded */
    metadata_string(gen, "made_by", NULL);
    yajl_gen_string(gen, (const unsigned char *) ans->made_by,
                    strlen(ans->made_by));
    yajl_gen_map_close(gen);

    text = yajl_gen_get_buf(gen, &json, &len) == yajl_gen_status_ok
           ? strndup((const char *) json, len) : NULL;
    yajl_gen_free(gen);

    return text;
}


static void
metadata_picture(yajl_gen gen, const decoder_answer_t *ans)
{
    if (ans->width == 0 || ans->height == 0) {
        return;
    }

    metadata_number(gen, "width", ans->width);
    metadata_number(gen, "height", ans->height);
    metadata_number(gen, "rotation", ans->rotation);
    metadata_number(gen, "frames", ans->frames);

    if (ans->frames != 0) {
        metadata_string(gen, "animated", NULL);
        yajl_gen_bool(gen, ans->animated != 0);
        metadata_string(gen, "alpha", NULL);
        yajl_gen_bool(gen, ans->alpha != 0);
    }

    if (ans->gps) {
        metadata_string(gen, "gps", NULL);
        yajl_gen_bool(gen, true);
    }
}


static void
metadata_preview(yajl_gen gen, const decoder_answer_t *ans)
{
    char  colour[8];

    if (ans->placeholder_size != 0) {
        metadata_bytes(gen, "placeholder", ans->placeholder,
                       ans->placeholder_size);
    }

    if (ans->has_colour) {
        snprintf(colour, sizeof(colour), "#%06x", (unsigned) ans->colour);
        metadata_string(gen, "dominant_color", colour);
    }
}


static void
metadata_sound(yajl_gen gen, const decoder_answer_t *ans)
{
    const char  *seconds;

    if (ans->duration_ms != 0) {
        seconds = log_fmt("%lld.%03d", (long long) ans->duration_ms / 1000,
                          (int) (ans->duration_ms % 1000));
        metadata_string(gen, "duration", NULL);
        yajl_gen_number(gen, seconds, strlen(seconds));
    }

    metadata_string(gen, "codec", ans->audio_codec);
    metadata_string(gen, "video_codec", ans->video_codec);
    metadata_number(gen, "sample_rate", ans->sample_rate);
    metadata_number(gen, "channels", ans->channels);

    if (ans->has_waveform) {
        metadata_bytes(gen, "waveform", ans->waveform, DECODER_WAVEFORM);
        metadata_string(gen, "waveform_source", "computed");
    }
}


static void
metadata_document(yajl_gen gen, const decoder_answer_t *ans)
{
    metadata_number(gen, "pages", ans->pages);
    metadata_string(gen, "title", ans->title);
    metadata_string(gen, "charset", ans->charset);
}


static void
metadata_verdict(yajl_gen gen, const decoder_answer_t *ans)
{
    switch (ans->verdict) {

    case DECODER_REFUSED:
        metadata_string(gen, "inspection", "refused");
        break;

    case DECODER_CORRUPT:
        metadata_string(gen, "inspection", "corrupt");
        break;

    case DECODER_ENCRYPTED:
        metadata_string(gen, "encrypted", NULL);
        yajl_gen_bool(gen, true);
        break;

    case DECODER_FAILED:
        metadata_string(gen, "inspection", "failed");
        break;

    default:
        break;
    }
}


/* "" is left out; NULL: the value follows */
static void
metadata_string(yajl_gen gen, const char *name, const char *value)
{
    if (value == NULL || *value != '\0') {
        yajl_gen_string(gen, (const unsigned char *) name, strlen(name));
    }

    if (value != NULL && *value != '\0') {
        yajl_gen_string(gen, (const unsigned char *) value, strlen(value));
    }
}


static void
metadata_number(yajl_gen gen, const char *name, int value)
{
    if (value != 0) {
        metadata_string(gen, name, NULL);
        yajl_gen_integer(gen, value);
    }
}


static void
metadata_bytes(yajl_gen gen, const char *name, const uint8_t *bytes,
    size_t len)
{
    char  text[MEDIA_BASE64_LEN(DECODER_WAVEFORM) + 1];

    text[media_base64_encode(text, bytes, len)] = '\0';
    metadata_string(gen, name, text);
}
