/*
 * Copyright (C) ngx_media contributors
 *
 * The streaming JSON reader: grammar, strings, limits, places; each text is
 * read whole, byte by byte, and cut in two at every place.
 */

#include "media_json.h"
#include "test.h"


#define TRACE_MAX  65536


typedef struct {
    size_t         len;
    char           text[TRACE_MAX];
    media_json_t  *json;
    const char    *input;
    int            places;              /* 1: the places of strings as well */
    int            stop;                /* callbacks until one returns 0 */
    int            errors;
} trace_t;


static int  trace_null(void *data);
static int  trace_boolean(void *data, int value);
static int  trace_number(void *data, const char *s, size_t len);
static int  trace_string(void *data, const char *s, size_t len);
static int  trace_start_map(void *data);
static int  trace_map_key(void *data, const char *s, size_t len);
static int  trace_end_map(void *data);
static int  trace_start_array(void *data);
static int  trace_end_array(void *data);
static int  trace_long_piece(void *data, const char *s, size_t len);
static int  trace_long_string(void *data, uint64_t offset, uint64_t len);


static const media_json_handler_t  collecting = {
    trace_null, trace_boolean, trace_number, trace_string, trace_start_map,
    trace_map_key, trace_end_map, trace_start_array, trace_end_array,
    NULL, trace_long_string
};


static const media_json_handler_t  in_pieces = {
    trace_null, trace_boolean, trace_number, trace_string, trace_start_map,
    trace_map_key, trace_end_map, trace_start_array, trace_end_array,
    trace_long_piece, NULL
};


/* text, and what the callbacks saw, or NULL if it is not JSON */
static const struct {
    const char  *text;
    const char  *seen;
} cases[] = {
    { "null", "null " },
    { " true\r\n\t", "true " },
    { "[]", "[ ] " },
    { "{}", "{ } " },
    { "0", "0 " },
    { "-0.5e+10", "-0.5e+10 " },
    { "123456789012345678901234567890", "123456789012345678901234567890 " },
    { "\"\"", "'' " },
    { "\"a\"", "'a' " },
    { "{\"a\":[1,2,{\"b\":null}],\"\":false}",
      "{ a: [ 1 2 { b: null } ] : false } " },
    { "{\"a\":1,\"a\":2}", "{ a: 1 a: 2 } " },
    { "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]", "[ '\"\\/\b\f\n\r\t' ] " },
    { "\"\\u0041\\u00e9\\u20ac\\ud83d\\ude00\"", "'A\303\251\342\202\254"
      "\360\237\230\200' " },
    { "\"\\uD83D\\uDE00\"", "'\360\237\230\200' " },
    { "\"\303\251\342\202\254\360\237\230\200\"",
      "'\303\251\342\202\254\360\237\230\200' " },
    { "\"\\ud83d\"", "'\357\277\275' " },
    { "\"\\ude00x\"", "'\357\277\275x' " },
    { "\"\\ud83dx\"", "'\357\277\275x' " },
    { "\"\\ud83d\\n\"", "'\357\277\275\n' " },
    { "\"\\ud83d\\u0041\"", "'\357\277\275A' " },
    { "\"\\ud83d\\ud83d\\ude00\"", "'\357\277\275\360\237\230\200' " },
    { "\"\\ud83d\303\251\"", "'\357\277\275\303\251' " },
    { "{\"\\u0061\":1}", "{ a: 1 } " },
    { "\"\177\"", "'\177' " },

    { "", NULL },
    { "  ", NULL },
    { "nul", NULL },
    { "nulL", NULL },
    { "NULL", NULL },
    { "True", NULL },
    { "NaN", NULL },
    { "Infinity", NULL },
    { "-", NULL },
    { "+1", NULL },
    { "01", NULL },
    { "[01]", NULL },
    { "-01", NULL },
    { "1.", NULL },
    { ".5", NULL },
    { "1e", NULL },
    { "1e+", NULL },
    { "0x10", NULL },
    { "1 2", NULL },
    { "{}{}", NULL },
    { "{} x", NULL },
    { "{}\"a\"", NULL },
    { "[1,]", NULL },
    { "[,1]", NULL },
    { "[1 2]", NULL },
    { "[\"a\" \"b\"]", NULL },
    { "{\"a\"}", NULL },
    { "{\"a\":}", NULL },
    { "{\"a\":1,}", NULL },
    { "{a:1}", NULL },
    { "{1:1}", NULL },
    { "{'a':1}", NULL },
    { "{\"a\" 1}", NULL },
    { "{\"a\":\"b\"\"c\":1}", NULL },
    { "[", NULL },
    { "]", NULL },
    { "{\"a\":1", NULL },
    { "[}", NULL },
    { "{]", NULL },
    { "// x\n1", NULL },
    { "/* x */ 1", NULL },
    { "1 /* x */", NULL },
    { "[1] // x", NULL },
    { "\"a", NULL },
    { "\"\\", NULL },
    { "\"\\u12", NULL },
    { "\"\\x41\"", NULL },
    { "\"\\u12g4\"", NULL },
    { "\"\\u 123\"", NULL },
    { "\"a\nb\"", NULL },
    { "\"a\tb\"", NULL },
    { "\"\001\"", NULL },
    { "\"\200\"", NULL },
    { "\"\300\200\"", NULL },
    { "\"\301\277\"", NULL },
    { "\"\340\237\277\"", NULL },
    { "\"\355\240\200\"", NULL },
    { "\"\360\217\277\277\"", NULL },
    { "\"\364\220\200\200\"", NULL },
    { "\"\365\200\200\200\"", NULL },
    { "\"\377\"", NULL },
    { "\"\303\"", NULL },
    { "\"\342\202\"", NULL },
    { "\"\303\\u0041\"", NULL },
    { "\303\251", NULL },
    { "\357\273\277{}", NULL },
    { "\f1", NULL },
    { "[1,\v2]", NULL },
    { "[1]\001", NULL },
};


/* strings beyond a limit of 4 bytes */
static const struct {
    const char  *text;
    const char  *places;                /* with long_string */
    const char  *pieces;                /* with long_piece */
} limited[] = {
    { "\"abcd\"", "'abcd' ", "'abcd' " },
    { "\"abcde\"", "<1+5> ", "<abcde> " },
    { "[\"\\u0041bcde\",\"x\"]", "[ <2+10> 'x' ] ",
      "[ <Abcde> 'x' ] " },
    { "{\"longer key\":\"longer value\"}", "{ longer key: <15+12> } ",
      "{ longer key: <longer value> } " },
    { "  [\"abcde\", 1, \"fghij\"]", "[ <4+5> 1 <16+5> ] ",
      "[ <abcde> 1 <fghij> ] " },
    { "[\"\342\202\254\342\202\254\"]", "[ <2+6> ] ",
      "[ <\342\202\254\342\202\254> ] " },
    { "[\"aaaa\\ud83d\\ude00\"]", "[ <2+16> ] ",
      "[ <aaaa\360\237\230\200> ] " },
    { "[\"aaaaa\\ud83d\"]", "[ <2+11> ] ", "[ <aaaaa\357\277\275> ] " },
    { "[\"a\\/b\\/c\"]", "[ <2+7> ] ", "[ <a/b/c> ] " },

    /* what is left out is checked all the same */
    { "\"aaaaaaaaaa\\x\"", NULL, NULL },
    { "\"aaaaaaaaaa\\u00\"", NULL, NULL },
    { "\"aaaaaaaaaa\300\200\"", NULL, NULL },
    { "\"aaaaaaaaaa\355\240\200\"", NULL, NULL },
    { "\"aaaaaaaaaa\n\"", NULL, NULL },
    { "\"aaaaaaaaaa\342\202\"", NULL, NULL },
    { "\"aaaaaaaaaa", NULL, NULL },
    { "[1 \"aaaaaaaaaa\"]", NULL, NULL },
    { "[\"aaaaaaaaaa\" 1]", NULL, NULL },
    { "1\"aaaaaaaaaa\"", NULL, NULL },
};


static const struct {
    const char  *text;
    const char  *error;
} errors[] = {
    { "[1, x]", "unexpected character at byte 4" },
    { "{\"a\": \"b\001\"}", "control character in a string at byte 8" },
    { "[\"a\", \"\300\"]", "invalid UTF-8 at byte 7" },
    { "[\"a\\q\"]", "invalid escape at byte 4" },
    { "[1, 2", "unexpected end at byte 5" },
    { "[\"ab", "unexpected end in a string at byte 4" },
    { "[\"a\" \"b\"]", "unexpected string at byte 5" },
    { "{\"a\":1}}", "unexpected character at byte 7" },
    { "", "unexpected end at byte 0" },
};


static void
put(trace_t *trace, const char *s, size_t len)
{
    if (len <= TRACE_MAX - 1 - trace->len) {
        memcpy(trace->text + trace->len, s, len);
        trace->len += len;
        trace->text[trace->len] = '\0';
    }
}


static int
go_on(trace_t *trace)
{
    return trace->stop == 0 || --trace->stop > 0;
}


static int
trace_null(void *data)
{
    put(data, "null ", 5);

    return go_on(data);
}


static int
trace_boolean(void *data, int value)
{
    put(data, value ? "true " : "false ", value ? 5 : 6);

    return go_on(data);
}


static int
trace_number(void *data, const char *s, size_t len)
{
    put(data, s, len);
    put(data, " ", 1);

    return go_on(data);
}


static int
trace_string(void *data, const char *s, size_t len)
{
    trace_t   *trace = data;
    uint64_t   offset, n;

    media_json_place(trace->json, &offset, &n);

    if (trace->input[offset - 1] != '"' || trace->input[offset + n] != '"'
        || n < len)
    {
        trace->errors++;
    }

    put(data, "'", 1);
    put(data, s, len);
    put(data, "' ", 2);

    return go_on(data);
}


static int
trace_start_map(void *data)
{
    put(data, "{ ", 2);

    return go_on(data);
}


static int
trace_map_key(void *data, const char *s, size_t len)
{
    put(data, s, len);
    put(data, ": ", 2);

    return go_on(data);
}


static int
trace_end_map(void *data)
{
    put(data, "} ", 2);

    return go_on(data);
}


static int
trace_start_array(void *data)
{
    put(data, "[ ", 2);

    return go_on(data);
}


static int
trace_end_array(void *data)
{
    put(data, "] ", 2);

    return go_on(data);
}


/* long_piece: "<" at the first, "> " at the end */
static int
trace_long_piece(void *data, const char *s, size_t len)
{
    trace_t  *trace = data;

    if (trace->places == 0) {
        put(trace, "<", 1);
        trace->places = 1;
    }

    put(trace, s, len);

    if (len == 0) {
        put(trace, "> ", 2);
        trace->places = 0;
    }

    return go_on(trace);
}


static int
trace_long_string(void *data, uint64_t offset, uint64_t len)
{
    int   n;
    char  buf[64];

    n = snprintf(buf, sizeof(buf), "<%llu+%llu> ",
                 (unsigned long long) offset, (unsigned long long) len);
    put(data, buf, (size_t) n);

    return go_on(data);
}


/* reads text in pieces of the size step, the first of them of first bytes */
static int
run(trace_t *trace, const media_json_handler_t *handler, size_t limit,
    const char *text, size_t len, size_t first, size_t step, char *error)
{
    int                  rc;
    char                *copy;
    size_t               n;
    media_json_limits_t  limits = { 8, limit };

    trace->len = 0;
    trace->text[0] = '\0';
    trace->places = 0;
    trace->input = text;

    trace->json = media_json_create(handler, &limits, trace);
    if (trace->json == NULL) {
        exit(2);
    }

    rc = MEDIA_OK;

    for (n = first; len > 0 && rc == MEDIA_OK; n = step) {
        n = n < len ? n : len;

        /* on its own in memory, so that reading on would be seen */
        copy = malloc(n + !n);
        if (copy == NULL) {
            exit(2);
        }

        memcpy(copy, text, n);
        rc = media_json_feed(trace->json, copy, n);
        free(copy);

        text += n;
        len -= n;
    }

    if (rc == MEDIA_OK) {
        rc = media_json_finish(trace->json);
    }

    if (error != NULL) {
        snprintf(error, 256, "%s", media_json_error(trace->json));
    }

    media_json_free(trace->json);

    return rc;
}


/* the same must be seen however the text is cut */
static void
check(const media_json_handler_t *handler, size_t limit, const char *text,
    const char *seen)
{
    int             rc;
    size_t          i, len;
    static trace_t  trace;

    len = strlen(text);

    for (i = 0; i <= len; i++) {
        trace.errors = 0;
        rc = run(&trace, handler, limit, text, len, i, i == 0 ? 1 : len,
                 NULL);

        if (seen == NULL) {
            ok(rc == MEDIA_ERROR, "refused: %s, cut at %zu: %d", text, i, rc);
            continue;
        }

        ok(rc == MEDIA_OK, "accepted: %s, cut at %zu: %d", text, i, rc);
        ok(strcmp(trace.text, seen) == 0, "%s, cut at %zu: %s", text, i,
           trace.text);
        ok(trace.errors == 0, "places in %s, cut at %zu", text, i);
    }
}


static void
test_limits(void)
{
    int             rc;
    char           *text;
    size_t          i;
    static trace_t  trace;

    text = malloc(TRACE_MAX);
    if (text == NULL) {
        exit(2);
    }

    check(&collecting, 100, "[[[[[[[[1]]]]]]]]",
          "[ [ [ [ [ [ [ [ 1 ] ] ] ] ] ] ] ] ");
    check(&collecting, 100, "[[[[[[[[[1]]]]]]]]]", NULL);
    check(&collecting, 100, "[[[[[[[{\"a\":{}}]]]]]]]", NULL);

    for (i = MEDIA_JSON_TOKEN_MAX; i <= MEDIA_JSON_TOKEN_MAX + 1; i++) {
        memset(text, '7', i);
        rc = run(&trace, &collecting, 100, text, i, 0, 100, NULL);
        ok(rc == (i == MEDIA_JSON_TOKEN_MAX ? MEDIA_OK : MEDIA_ERROR),
           "number of %zu bytes: %d", i, rc);
    }

    for (i = MEDIA_JSON_KEY_MAX; i <= MEDIA_JSON_KEY_MAX + 1; i++) {
        memset(text, 'k', i + 6);
        memcpy(text, "{\"", 2);
        memcpy(text + 2 + i, "\":1}", 4);

        rc = run(&trace, &collecting, 100, text, i + 6, 0, 100, NULL);
        ok(rc == (i == MEDIA_JSON_KEY_MAX ? MEDIA_OK : MEDIA_ERROR),
           "key of %zu bytes: %d", i, rc);

        rc = run(&trace, &collecting, TRACE_MAX, text, i + 6, 0, 100, NULL);
        ok(rc == (i == MEDIA_JSON_KEY_MAX ? MEDIA_OK : MEDIA_ERROR),
           "key of %zu bytes, large limit: %d", i, rc);
    }

    memset(text, ' ', TRACE_MAX);
    text[TRACE_MAX / 2] = '1';
    rc = run(&trace, &collecting, 100, text, TRACE_MAX, 0, 1000, NULL);
    ok(rc == MEDIA_OK, "much white space: %d", rc);

    free(text);
}


static void
test_stop(void)
{
    int             i, rc;
    static trace_t  trace;

    static const char  text[] = "{\"a\":[1,true,null,\"b\",\"cdefg\"]}";

    for (i = 1; i <= 11; i++) {
        trace.stop = i;
        rc = run(&trace, &collecting, 4, text, sizeof(text) - 1, 0, 1, NULL);
        ok(rc == (i <= 10 ? MEDIA_DENIED : MEDIA_OK), "stop at %d: %d", i,
           rc);
    }

    trace.stop = 1;
    rc = run(&trace, &collecting, 4, "12", 2, 0, 1, NULL);
    ok(rc == MEDIA_DENIED, "stop at the last number: %d", rc);

    trace.stop = 0;
}


static void
test_checking_only(void)
{
    int                   rc;
    size_t                i;
    media_json_t         *json;
    media_json_limits_t   limits = { 8, 0 };
    media_json_handler_t  none;

    memset(&none, 0, sizeof(none));

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json = media_json_create(&none, &limits, NULL);
        if (json == NULL) {
            exit(2);
        }

        rc = media_json_feed(json, cases[i].text, strlen(cases[i].text));
        if (rc == MEDIA_OK) {
            rc = media_json_finish(json);
        }

        ok(rc == (cases[i].seen ? MEDIA_OK : MEDIA_ERROR),
           "checking only: %s: %d", cases[i].text, rc);
        ok((media_json_error(json)[0] == '\0') == (rc == MEDIA_OK),
           "an error says what it is: %s", cases[i].text);

        media_json_free(json);
    }
}


/* random bytes and damaged texts; the cut must not change the verdict */
static void
test_fuzz(void)
{
    int             rc, again;
    char            text[64], seen[1024];
    size_t          i, j, n, len;
    uint64_t        seed;
    static trace_t  trace;

    static const char  alphabet[] = "{}[]\",:\\u0dD8/ 1-e.tnrflas\n\303\251";

    seed = 20261121;

    for (i = 0; i < 20000; i++) {
        len = test_random(&seed) % sizeof(text);

        if (i % 2) {
            j = test_random(&seed) % (sizeof(cases) / sizeof(cases[0]));
            len = strlen(cases[j].text);
            len = len < sizeof(text) ? len : sizeof(text);
            memcpy(text, cases[j].text, len);

            if (len > 0) {
                text[test_random(&seed) % len] = (char) test_random(&seed);
            }

        } else {
            for (j = 0; j < len; j++) {
                text[j] = alphabet[test_random(&seed)
                                   % (sizeof(alphabet) - 1)];
            }
        }

        rc = run(&trace, &in_pieces, 4, text, len, len, 1, NULL);
        n = trace.len < sizeof(seen) ? trace.len : sizeof(seen);
        memcpy(seen, trace.text, n);
        again = run(&trace, &in_pieces, 4, text, len, 1, 1, NULL);

        if (rc != again || (rc == MEDIA_OK && memcmp(seen, trace.text, n) != 0))
        {
            ok(0, "%.*s: %d and %d", (int) len, text, rc, again);
        }
    }

    ok(1, "fuzz");
}


int
main(void)
{
    int             rc;
    char            error[256];
    size_t          i;
    static trace_t  trace;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check(&collecting, 100, cases[i].text, cases[i].seen);
    }

    for (i = 0; i < sizeof(limited) / sizeof(limited[0]); i++) {
        check(&collecting, 4, limited[i].text, limited[i].places);
        check(&in_pieces, 4, limited[i].text, limited[i].pieces);
    }

    for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        run(&trace, &collecting, 100, errors[i].text,
            strlen(errors[i].text), 0, 1, error);
        ok(strcmp(error, errors[i].error) == 0, "%s: \"%s\"", errors[i].text,
           error);
        run(&trace, &collecting, 100, errors[i].text,
            strlen(errors[i].text), strlen(errors[i].text), 1, error);
        ok(strcmp(error, errors[i].error) == 0, "%s, whole: \"%s\"",
           errors[i].text, error);
    }

    rc = run(&trace, &collecting, 100, "\"a\\u0000b\"", 10, 10, 1, NULL);
    ok(rc == MEDIA_OK && trace.len == 6
       && memcmp(trace.text, "'a\0b' ", 6) == 0, "U+0000: %d", rc);

    test_limits();
    test_stop();
    test_checking_only();
    test_fuzz();

    return test_done();
}
