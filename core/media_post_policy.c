/*
 * Copyright (C) ngx_media contributors
 */

#include <stdio.h>
#include <strings.h>

#include "media_codec.h"
#include "media_json.h"
#include "media_post_policy.h"
#include "media_sigv4_canonical.h"


#define POLICY_JSON_MAX  (MEDIA_POST_POLICY_MAX / 4 * 3)
#define POLICY_DEPTH     3
#define POLICY_SKEW      900        /* seconds a clock may be ahead */


typedef enum {
    POLICY_EQUAL = 0,
    POLICY_PREFIX,
    POLICY_RANGE
} policy_match_t;


/* {"name": "value"} or ["eq", "$name", "value"]; a range has numbers */
typedef struct {
    policy_match_t      match;
    media_str_t         name;
    media_str_t         value;
    int64_t             min;
    int64_t             max;
} policy_condition_t;


typedef struct {
    unsigned            depth;
    unsigned            n;          /* conditions, with the one that is read */
    unsigned            index;      /* of the next element of an array */
    media_str_t         key;
    time_t              expires;    /* -1: it did not say */
    char               *p;          /* where the next string is copied to */
    unsigned            map:1;      /* the condition is no array */
    char                text[POLICY_JSON_MAX];
    policy_condition_t  conditions[MEDIA_POST_POLICY_CONDITIONS];
} policy_reader_t;


static void policy_put(sigv4_out_t *out, const char *s);
static void policy_put_field(sigv4_out_t *out, const char *name,
    media_str_t value);
static void policy_put_string(sigv4_out_t *out, media_str_t s);
static const media_str_t *policy_field(const media_sigv4_header_t *fields,
    size_t nfields, const char *name);
static int policy_signed(media_sigv4_cred_t *cred,
    const media_sigv4_header_t *fields, size_t nfields, media_str_t policy,
    time_t now);
static int policy_credential(media_sigv4_cred_t *cred,
    const media_sigv4_header_t *fields, size_t nfields, const char *date);
static int policy_read(policy_reader_t *reader, media_str_t policy);
static int policy_start_map(void *data);
static int policy_start_array(void *data);
static int policy_start(policy_reader_t *reader, unsigned map);
static int policy_end(void *data);
static int policy_key(void *data, const char *s, size_t len);
static int policy_string(void *data, const char *s, size_t len);
static int policy_number(void *data, const char *s, size_t len);
static int policy_element(policy_reader_t *reader, policy_condition_t *c,
    media_str_t value);
static int policy_refuse(void *data);
static int policy_refuse_boolean(void *data, int value);
static media_str_t policy_copy(policy_reader_t *reader, const char *s,
    size_t len);
static int policy_size(int64_t *size, media_str_t s);
static int policy_time(time_t *t, media_str_t s);
static int policy_conditions(const policy_reader_t *reader,
    media_str_t bucket, const media_sigv4_header_t *fields, size_t nfields,
    int64_t *min, int64_t *max);
static int policy_holds(const policy_condition_t *c, media_str_t value);
static int policy_exempt(media_str_t name);


int
media_post_policy_sign(media_post_form_t *form, media_sigv4_cred_t *cred,
    const media_post_policy_t *policy, time_t now)
{
    char         json[POLICY_JSON_MAX], text[64];
    size_t       i, len;
    struct tm    tm;
    media_str_t  value;
    sigv4_out_t  out;

    memset(form, 0, sizeof(media_post_form_t));
    memset(&out, 0, sizeof(sigv4_out_t));

    media_sigv4_date(form->date, now);

    out.p = form->credential;
    out.last = form->credential + sizeof(form->credential) - 1;
    sigv4_put_scope(&out, cred, form->date, 1);

    if (out.failed) {
        return MEDIA_NOSPACE;
    }

    out.p = json;
    out.last = json + sizeof(json);

    memset(&tm, 0, sizeof(struct tm));
    (void) gmtime_r(&policy->expires, &tm);
    (void) strftime(text, sizeof(text),
                    "{\"expiration\":\"%Y-%m-%dT%H:%M:%S.000Z\",", &tm);
    policy_put(&out, text);
    policy_put(&out, "\"conditions\":[{\"bucket\":");
    policy_put_string(&out, policy->bucket);
    policy_put(&out, "},");

    (void) snprintf(text, sizeof(text),
                    "[\"content-length-range\",%lld,%lld],",
                    (long long) policy->min, (long long) policy->max);
    policy_put(&out, text);

    for (i = 0; i < policy->nfields; i++) {
        policy_put(&out, "{");
        policy_put_string(&out, policy->fields[i].name);
        policy_put(&out, ":");
        policy_put_string(&out, policy->fields[i].value);
        policy_put(&out, "},");
    }

    media_str_set(&value, SIGV4_ALGORITHM, sizeof(SIGV4_ALGORITHM) - 1);
    policy_put_field(&out, "x-amz-algorithm", value);
    policy_put(&out, ",");

    media_str_set(&value, form->credential, strlen(form->credential));
    policy_put_field(&out, "x-amz-credential", value);
    policy_put(&out, ",");

    if (cred->session_token.len) {
        policy_put_field(&out, "x-amz-security-token", cred->session_token);
        policy_put(&out, ",");
    }

    media_str_set(&value, form->date, MEDIA_SIGV4_DATE_LEN);
    policy_put_field(&out, "x-amz-date", value);
    policy_put(&out, "]}");

    if (out.failed) {
        return out.p == out.last ? MEDIA_NOSPACE : MEDIA_ERROR;
    }

    len = media_base64_encode(form->policy, json, (size_t) (out.p - json));

    return sigv4_sign_text(cred, form->date, form->policy, len,
                           form->signature);
}


static void
policy_put(sigv4_out_t *out, const char *s)
{
    sigv4_put(out, s, strlen(s));
}


static void
policy_put_field(sigv4_out_t *out, const char *name, media_str_t value)
{
    policy_put(out, "{\"");
    policy_put(out, name);
    policy_put(out, "\":");
    policy_put_string(out, value);
    policy_put(out, "}");
}


static void
policy_put_string(sigv4_out_t *out, media_str_t s)
{
    size_t  i;

    policy_put(out, "\"");

    for (i = 0; i < s.len; i++) {

        if ((unsigned char) s.data[i] < ' ') {
            out->failed = 1;
            return;
        }

        if (s.data[i] == '"' || s.data[i] == '\\') {
            policy_put(out, "\\");
        }

        sigv4_put(out, s.data + i, 1);
    }

    policy_put(out, "\"");
}


int
media_post_policy_verify(media_sigv4_cred_t *cred, media_str_t bucket,
    const media_sigv4_header_t *fields, size_t nfields, time_t now,
    int64_t *min, int64_t *max)
{
    int                 rc;
    policy_reader_t     reader;
    const media_str_t  *policy;

    policy = policy_field(fields, nfields, "policy");

    if (policy == NULL) {
        return MEDIA_SIGV4_MISSING;
    }

    rc = policy_signed(cred, fields, nfields, *policy, now);
    if (rc != MEDIA_OK) {
        return rc;
    }

    rc = policy_read(&reader, *policy);
    if (rc != MEDIA_OK) {
        return rc;
    }

    if (now >= reader.expires) {
        return MEDIA_SIGV4_EXPIRED;
    }

    return policy_conditions(&reader, bucket, fields, nfields, min, max);
}


static const media_str_t *
policy_field(const media_sigv4_header_t *fields, size_t nfields,
    const char *name)
{
    size_t  i;

    for (i = 0; i < nfields; i++) {
        if (sigv4_is(fields[i].name, name)) {
            return &fields[i].value;
        }
    }

    return NULL;
}


static int
policy_signed(media_sigv4_cred_t *cred, const media_sigv4_header_t *fields,
    size_t nfields, media_str_t policy, time_t now)
{
    int                 rc;
    char                text[64], date[MEDIA_SIGV4_DATE_LEN];
    time_t              t;
    const media_str_t  *algorithm, *when, *signature;

    algorithm = policy_field(fields, nfields, "x-amz-algorithm");
    when = policy_field(fields, nfields, "x-amz-date");
    signature = policy_field(fields, nfields, "x-amz-signature");

    if (algorithm == NULL || !sigv4_is(*algorithm, SIGV4_ALGORITHM)
        || when == NULL || signature == NULL || policy.len == 0
        || policy.len > MEDIA_POST_POLICY_MAX
        || sigv4_parse_date(&t, *when) != MEDIA_OK)
    {
        return MEDIA_SIGV4_MALFORMED;
    }

    memcpy(date, when->data, MEDIA_SIGV4_DATE_LEN);

    rc = policy_credential(cred, fields, nfields, date);
    if (rc != MEDIA_OK) {
        return rc;
    }

    if (sigv4_sign_text(cred, date, policy.data, policy.len, text)
        != MEDIA_OK)
    {
        return MEDIA_SIGV4_MALFORMED;
    }

    if (!media_equal(text, SIGV4_SIGNATURE, signature->data, signature->len)) {
        return MEDIA_SIGV4_MISMATCH;
    }

    return t > now + POLICY_SKEW ? MEDIA_SIGV4_SKEWED : MEDIA_OK;
}


static int
policy_credential(media_sigv4_cred_t *cred,
    const media_sigv4_header_t *fields, size_t nfields, const char *date)
{
    char                text[MEDIA_POST_POLICY_CREDENTIAL];
    size_t              n;
    sigv4_out_t         out;
    const media_str_t  *c, *token;

    c = policy_field(fields, nfields, "x-amz-credential");
    token = policy_field(fields, nfields, "x-amz-security-token");
    n = cred->access_key.len;

    if (c == NULL) {
        return MEDIA_SIGV4_MALFORMED;
    }

    if (c->len <= n || c->data[n] != '/'
        || !media_equal(c->data, n, cred->access_key.data, n)
        || (token != NULL) != (cred->session_token.len != 0)
        || (token != NULL
            && !media_equal(token->data, token->len, cred->session_token.data,
                            cred->session_token.len)))
    {
        return MEDIA_SIGV4_BAD_KEY;
    }

    memset(&out, 0, sizeof(sigv4_out_t));
    out.p = text;
    out.last = text + sizeof(text);

    sigv4_put_scope(&out, cred, date, 1);

    return !out.failed && c->len == (size_t) (out.p - text)
           && memcmp(c->data, text, c->len) == 0
           ? MEDIA_OK : MEDIA_SIGV4_BAD_SCOPE;
}


static int
policy_read(policy_reader_t *reader, media_str_t policy)
{
    int                   rc;
    char                  json[POLICY_JSON_MAX];
    ssize_t               len;
    media_json_t         *parser;
    media_json_limits_t   limits;
    media_json_handler_t  handler;

    len = media_base64_decode(json, sizeof(json), policy.data, policy.len);
    if (len < 0) {
        return MEDIA_SIGV4_MALFORMED;
    }

    memset(reader, 0, sizeof(policy_reader_t));

    reader->p = reader->text;
    reader->expires = -1;

    memset(&handler, 0, sizeof(media_json_handler_t));

    handler.null = policy_refuse;
    handler.boolean = policy_refuse_boolean;
    handler.number = policy_number;
    handler.string = policy_string;
    handler.start_map = policy_start_map;
    handler.map_key = policy_key;
    handler.end_map = policy_end;
    handler.start_array = policy_start_array;
    handler.end_array = policy_end;

    limits.depth = POLICY_DEPTH;
    limits.string = sizeof(json);

    parser = media_json_create(&handler, &limits, reader);
    if (parser == NULL) {
        return MEDIA_SIGV4_MALFORMED;
    }

    rc = media_json_feed(parser, json, (size_t) len);

    if (rc == MEDIA_OK) {
        rc = media_json_finish(parser);
    }

    media_json_free(parser);

    return rc == MEDIA_OK && reader->expires != -1 ? MEDIA_OK
                                                   : MEDIA_SIGV4_MALFORMED;
}


static int
policy_start_map(void *data)
{
    return policy_start(data, 1);
}


static int
policy_start_array(void *data)
{
    return policy_start(data, 0);
}


/* a map that holds an array of maps and arrays */

static int
policy_start(policy_reader_t *reader, unsigned map)
{
    reader->index = 0;
    reader->map = map;

    switch (++reader->depth) {

    case 1:
        return map;

    case 2:
        return !map && reader->n == 0 && sigv4_is(reader->key, "conditions");

    default:
        return map || reader->n++ < MEDIA_POST_POLICY_CONDITIONS;
    }
}


static int
policy_end(void *data)
{
    policy_reader_t  *reader;

    reader = data;

    return reader->depth-- != 3 || reader->map || reader->index == 3;
}


static int
policy_key(void *data, const char *s, size_t len)
{
    policy_reader_t  *reader;

    reader = data;
    reader->key = policy_copy(reader, s, len);

    return 1;
}


static int
policy_string(void *data, const char *s, size_t len)
{
    media_str_t          value;
    policy_reader_t     *reader;
    policy_condition_t  *c;

    reader = data;
    value = policy_copy(reader, s, len);

    if (reader->depth == 1) {
        return sigv4_is(reader->key, "expiration") && reader->expires == -1
               && policy_time(&reader->expires, value) == MEDIA_OK;
    }

    if (reader->depth != 3) {
        return 0;
    }

    if (reader->map) {

        /* each member is a condition */

        if (reader->n == MEDIA_POST_POLICY_CONDITIONS) {
            return 0;
        }

        c = &reader->conditions[reader->n++];
        c->match = POLICY_EQUAL;
        c->name = reader->key;
        c->value = value;

        return 1;
    }

    return policy_element(reader, &reader->conditions[reader->n - 1], value);
}


static int
policy_number(void *data, const char *s, size_t len)
{
    policy_reader_t     *reader;
    policy_condition_t  *c;

    reader = data;

    if (reader->depth != 3 || reader->map) {
        return 0;
    }

    c = &reader->conditions[reader->n - 1];

    return c->match == POLICY_RANGE
           && policy_element(reader, c, policy_copy(reader, s, len));
}


static int
policy_element(policy_reader_t *reader, policy_condition_t *c,
    media_str_t value)
{
    switch (reader->index++) {

    case 0:
        if (sigv4_is(value, "eq")) {
            c->match = POLICY_EQUAL;
            return 1;
        }

        if (sigv4_is(value, "starts-with")) {
            c->match = POLICY_PREFIX;
            return 1;
        }

        c->match = POLICY_RANGE;
        return sigv4_is(value, "content-length-range");

    case 1:
        if (c->match == POLICY_RANGE) {
            return policy_size(&c->min, value) == MEDIA_OK;
        }

        if (value.len < 2 || value.data[0] != '$') {
            return 0;
        }

        media_str_set(&c->name, value.data + 1, value.len - 1);
        return 1;

    case 2:
        if (c->match == POLICY_RANGE) {
            return policy_size(&c->max, value) == MEDIA_OK;
        }

        c->value = value;
        return 1;

    default:
        return 0;
    }
}


static int
policy_refuse(void *data)
{
    (void) data;

    return 0;
}


static int
policy_refuse_boolean(void *data, int value)
{
    (void) value;

    return policy_refuse(data);
}


/* the text is shorter than the JSON that it was in */

static media_str_t
policy_copy(policy_reader_t *reader, const char *s, size_t len)
{
    media_str_t  copy;

    memcpy(reader->p, s, len);
    media_str_set(&copy, reader->p, len);
    reader->p += len;

    return copy;
}


static int
policy_size(int64_t *size, media_str_t s)
{
    size_t  i;

    if (s.len == 0 || s.len > 18) {
        return MEDIA_ERROR;
    }

    *size = 0;

    for (i = 0; i < s.len; i++) {

        if (s.data[i] < '0' || s.data[i] > '9') {
            return MEDIA_ERROR;
        }

        *size = *size * 10 + (s.data[i] - '0');
    }

    return MEDIA_OK;
}


/* ISO 8601, UTC, with a fraction or without: 2015-12-30T12:00:00.000Z */

static int
policy_time(time_t *t, media_str_t s)
{
    char         text[32], date[MEDIA_SIGV4_DATE_LEN];
    size_t       i, n;
    media_str_t  d;

    static const char  form[] = "dddd-dd-ddTdd:dd:dd";

    if (s.len < sizeof(form) || s.len >= sizeof(text)
        || s.data[s.len - 1] != 'Z')
    {
        return MEDIA_ERROR;
    }

    for (i = 0, n = 0; i < sizeof(form) - 1; i++) {

        if (form[i] == 'd' ? (s.data[i] < '0' || s.data[i] > '9')
                           : s.data[i] != form[i])
        {
            return MEDIA_ERROR;
        }

        if (form[i] == 'd' || form[i] == 'T') {
            date[n++] = s.data[i];
        }
    }

    if (s.data[i] != 'Z' && (s.data[i++] != '.' || i == s.len - 1)) {
        return MEDIA_ERROR;
    }

    for ( /* void */ ; i < s.len - 1; i++) {
        if (s.data[i] < '0' || s.data[i] > '9') {
            return MEDIA_ERROR;
        }
    }

    date[n++] = 'Z';
    media_str_set(&d, date, n);

    return sigv4_parse_date(t, d);
}


static int
policy_conditions(const policy_reader_t *reader, media_str_t bucket,
    const media_sigv4_header_t *fields, size_t nfields, int64_t *min,
    int64_t *max)
{
    char                       covered[MEDIA_POST_POLICY_FIELDS];
    size_t                     i;
    unsigned                   n, named;
    const policy_condition_t  *c;

    *min = 0;
    *max = -1;
    named = 0;

    memset(covered, 0, sizeof(covered));

    if (nfields > sizeof(covered)) {
        return MEDIA_POST_POLICY_DENIED;
    }

    for (n = 0; n < reader->n; n++) {
        c = &reader->conditions[n];

        if (c->match == POLICY_RANGE) {
            *min = c->min > *min ? c->min : *min;
            *max = *max == -1 || c->max < *max ? c->max : *max;
            continue;
        }

        if (sigv4_is(c->name, "bucket")) {
            if (!policy_holds(c, bucket)) {
                return MEDIA_POST_POLICY_DENIED;
            }

            named = 1;
            continue;
        }

        for (i = 0; i < nfields; i++) {
            if (sigv4_name_compare(fields[i].name, c->name) == 0) {
                break;
            }
        }

        if (i == nfields || !policy_holds(c, fields[i].value)) {
            return MEDIA_POST_POLICY_DENIED;
        }

        covered[i] = 1;
    }

    /* no size is in all of the ranges */

    if (*max != -1 && *min > *max) {
        return MEDIA_POST_POLICY_DENIED;
    }

    for (i = 0; i < nfields; i++) {
        if (!covered[i] && !policy_exempt(fields[i].name)) {
            return MEDIA_POST_POLICY_DENIED;
        }
    }

    return named ? MEDIA_OK : MEDIA_POST_POLICY_DENIED;
}


static int
policy_holds(const policy_condition_t *c, media_str_t value)
{
    return value.len >= c->value.len
           && (c->match == POLICY_PREFIX || value.len == c->value.len)
           && memcmp(value.data, c->value.data, c->value.len) == 0;
}


/* what needs no condition */

static int
policy_exempt(media_str_t name)
{
    return sigv4_is(name, "policy") || sigv4_is(name, "x-amz-signature")
           || (name.len >= 9 && strncasecmp(name.data, "x-ignore-", 9) == 0);
}
