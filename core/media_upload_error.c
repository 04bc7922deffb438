/*
 * Copyright (C) ngx_media contributors
 *
 * What a client is told of a refused upload, in its language.
 */

#include <stdio.h>
#include <strings.h>

#include "media_upload.h"


#define LANG_WEIGHT_MAX  1000


static media_str_t lang_trim(media_str_t s);
static int lang_weight(media_str_t params);
static int lang_portuguese(media_str_t range);


/* indexed by media_upload_error_t; %s is the limit */
static const struct {
    unsigned     status;
    const char  *code;
    const char  *texts[MEDIA_LANG_MAX];
} errors[MEDIA_UPLOAD_ERROR_MAX] = {
    { 200, "", { "", "" } },
    { 400, "file_name_missing",
      { "The name of the file is missing",
        "Falta o nome do arquivo" } },
    { 400, "file_name_invalid",
      { "The name of the file is too long or has invalid characters",
        "Nome do arquivo muito longo ou com caracteres inválidos" } },
    { 400, "file_type_missing",
      { "The type of the file is missing",
        "Falta o tipo do arquivo" } },
    { 400, "file_type_invalid",
      { "The type of the file is no MIME type",
        "O tipo do arquivo não é um tipo MIME" } },
    { 400, "file_size_invalid",
      { "The size of the file is missing, or the file is empty",
        "Falta o tamanho do arquivo ou o arquivo está vazio" } },
    { 400, "conversation_id_invalid",
      { "The conversation is missing or invalid",
        "Conversa ausente ou inválida" } },
    { 400, "caption_invalid",
      { "The caption has invalid characters or more than 1024 of them",
        "Legenda com caracteres inválidos ou mais de 1024 deles" } },
    { 400, "caption_not_allowed",
      { "Audio, voice notes and stickers have no caption",
        "Áudios, mensagens de voz e figurinhas não têm legenda" } },
    { 400, "kind_invalid",
      { "A file of this type cannot be sent as this kind of message",
        "Um arquivo deste tipo não pode ser enviado como este tipo de"
        " mensagem" } },
    { 400, "file_missing",
      { "The file is missing",
        "Falta o arquivo" } },
    { 400, "form_invalid",
      { "The form or the query is malformed",
        "O formulário ou a consulta é inválida" } },
    { 413, "file_too_large",
      { "File too large. Maximum: %s",
        "Arquivo muito grande. Máximo: %s" } },
    { 415, "file_type_not_allowed",
      { "File type not allowed",
        "Tipo de arquivo não permitido" } },
    { 422, "upload_token_invalid",
      { "The upload token is invalid",
        "O token do envio é inválido" } },
    { 410, "upload_token_expired",
      { "The upload has expired. Start again",
        "O envio expirou. Comece de novo" } },
    { 409, "upload_token_reused",
      { "The upload was already completed with other values",
        "O envio já foi concluído com outros valores" } },
    { 422, "field_differs",
      { "A field differs from what the upload was started with",
        "Um campo difere do que foi informado no início do envio" } },
    { 409, "upload_missing",
      { "The file has not been uploaded",
        "O arquivo não foi enviado" } },
    { 422, "upload_differs",
      { "The uploaded file has another size or type",
        "O arquivo enviado tem outro tamanho ou tipo" } },
    { 409, "parts_missing",
      { "Parts of the file have not been uploaded",
        "Partes do arquivo não foram enviadas" } },
    { 422, "idempotency_key_reused",
      { "The idempotency key was used for another request",
        "A chave de idempotência foi usada em outra requisição" } },
    { 503, "unavailable",
      { "Temporarily unavailable. Try again",
        "Temporariamente indisponível. Tente de novo" } }
};


unsigned
media_upload_error(media_upload_error_t error, media_lang_t lang,
    int64_t limit, const char **code, char *text, size_t size)
{
    char  number[32];

    if (limit % (1024 * 1024) == 0) {
        (void) snprintf(number, sizeof(number), "%lld MB",
                        (long long) (limit / (1024 * 1024)));

    } else if (limit >= 1024 * 1024) {
        (void) snprintf(number, sizeof(number), "%lld%c%lld MB",
                        (long long) (limit / (1024 * 1024)),
                        lang == MEDIA_LANG_PT_BR ? ',' : '.',
                        (long long) (limit % (1024 * 1024) * 10
                                     / (1024 * 1024)));

    } else if (limit >= 1024) {
        (void) snprintf(number, sizeof(number), "%lld KB",
                        (long long) (limit / 1024));

    } else {
        (void) snprintf(number, sizeof(number), "%lld bytes",
                        (long long) limit);
    }

    *code = errors[error].code;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void) snprintf(text, size, errors[error].texts[lang], number);
#pragma GCC diagnostic pop

    return errors[error].status;
}


media_lang_t
media_upload_lang(media_str_t accept_language)
{
    int           weight, best, other;
    const char   *p, *last, *end, *semicolon;
    media_str_t   range, params;
    media_lang_t  lang;

    lang = MEDIA_LANG_EN;
    best = 0;
    other = 0;
    p = accept_language.data;
    last = p + accept_language.len;

    for ( /* void */ ; p < last; p = end + 1) {
        end = memchr(p, ',', (size_t) (last - p));
        end = end ? end : last;

        semicolon = memchr(p, ';', (size_t) (end - p));
        semicolon = semicolon ? semicolon : end;

        media_str_set(&range, p, (size_t) (semicolon - p));
        media_str_set(&params, semicolon, (size_t) (end - semicolon));

        weight = lang_weight(params);

        /* the first of two with one weight is preferred */

        if (lang_portuguese(lang_trim(range))) {
            if (weight > best) {
                best = weight;
                lang = weight > other ? MEDIA_LANG_PT_BR : lang;
            }

        } else if (lang_trim(range).len && weight > other) {
            other = weight;
            lang = weight > best ? MEDIA_LANG_EN : lang;
        }
    }

    return lang;
}


static media_str_t
lang_trim(media_str_t s)
{
    while (s.len && (*s.data == ' ' || *s.data == '\t')) {
        s.data++;
        s.len--;
    }

    while (s.len && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t')) {
        s.len--;
    }

    return s;
}


/* "" or ";q=0.123", in thousandths; 0 also for what is malformed */

static int
lang_weight(media_str_t params)
{
    int     weight, unit;
    size_t  i;

    if (params.len == 0) {
        return LANG_WEIGHT_MAX;
    }

    params.data++;
    params.len--;
    params = lang_trim(params);

    if (params.len < 3 || params.len > 7
        || (params.data[0] != 'q' && params.data[0] != 'Q')
        || params.data[1] != '='
        || (params.data[2] != '0' && params.data[2] != '1')
        || (params.len > 3 && params.data[3] != '.'))
    {
        return 0;
    }

    weight = (params.data[2] - '0') * LANG_WEIGHT_MAX;
    unit = LANG_WEIGHT_MAX / 10;

    for (i = 4; i < params.len; i++) {
        if (params.data[i] < '0' || params.data[i] > '9') {
            return 0;
        }

        weight += (params.data[i] - '0') * unit;
        unit /= 10;
    }

    return weight <= LANG_WEIGHT_MAX ? weight : 0;
}


static int
lang_portuguese(media_str_t range)
{
    return range.len >= 2 && strncasecmp(range.data, "pt", 2) == 0
           && (range.len == 2 || range.data[2] == '-');
}
