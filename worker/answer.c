/*
 * Copyright (C) ngx_media contributors
 */

#include "media_worker.h"


/*
 * Reads members of a JSON object by name while it streams in: a provider's
 * answer, or a job's body.  A member of the top level has a plain name, one
 * of an object in it a path ("error.code"), so that a nested "message" never
 * speaks for the whole answer.  Arrays do not count: "messages.id" is that of
 * the first element that has one.
 */


#define ANSWER_STRING  65536      /* bytes; of a text to send, say */


static int answer_string(void *data, const char *s, size_t len);
static int answer_number(void *data, const char *s, size_t len);
static int answer_key(void *data, const char *s, size_t len);
static void answer_path(answer_t *answer, const char *s, size_t len);
static int answer_start(void *data);
static int answer_end(void *data);
static int answer_piece(void *data, const char *s, size_t len);


static const media_json_handler_t  answer_handler = {
    .number = answer_number,
    .string = answer_string,
    .start_map = answer_start,
    .map_key = answer_key,
    .end_map = answer_end,
    .start_array = answer_start,
    .end_array = answer_end,
    .long_piece = answer_piece,
};


int
answer_open(answer_t *answer, const answer_member_t *members,
    const char *long_name, int (*write)(void *data, const char *s, size_t len),
    void *data)
{
    media_json_limits_t     limits;
    const answer_member_t  *m;

    memset(answer, 0, sizeof(answer_t));
    answer->members = members;
    answer->long_name = long_name;
    answer->write = write;
    answer->data = data;

    for (m = members; m->name != NULL; m++) {
        m->value[0] = '\0';
    }

    limits.depth = ANSWER_DEPTH;
    limits.string = ANSWER_STRING;
    answer->json = media_json_create(&answer_handler, &limits, answer);

    return answer->json == NULL ? -1 : 0;
}


int
answer_write(void *data, const char *s, size_t len)
{
    answer_t  *answer = data;

    return media_json_feed(answer->json, s, len) == MEDIA_OK ? 0 : -1;
}


int
answer_close(answer_t *answer)
{
    int  rc;

    rc = media_json_finish(answer->json);
    media_json_free(answer->json);
    answer->json = NULL;

    return rc == MEDIA_OK ? 0 : -1;
}


static int
answer_key(void *data, const char *s, size_t len)
{
    answer_t               *answer = data;
    const answer_member_t  *m;

    answer->member = NULL;
    answer->is_long = 0;

    answer_path(answer, s, len);

    if (answer->depth == 1 && answer->long_name != NULL
        && strlen(answer->long_name) == len
        && memcmp(answer->long_name, s, len) == 0)
    {
        answer->is_long = 1;
        return 1;
    }

    for (m = answer->members; m->name != NULL; m++) {
        if (strlen(m->name) == answer->len
            && memcmp(m->name, answer->path, answer->len) == 0)
        {
            answer->member = m;
            break;
        }
    }

    return 1;
}


/* a path that does not fit is that of no member, nor are those below it */
static void
answer_path(answer_t *answer, const char *s, size_t len)
{
    size_t  n;

    n = answer->ends[answer->depth];

    if (n + 1 + len > sizeof(answer->path)) {
        answer->len = sizeof(answer->path);
        return;
    }

    if (n > 0) {
        answer->path[n++] = '.';
    }

    memcpy(answer->path + n, s, len);
    answer->len = n + len;
}


static int
answer_string(void *data, const char *s, size_t len)
{
    answer_t  *answer = data;

    if (answer->is_long && !answer->has_long) {
        answer->has_long = 1;
        return answer->write(answer->data, s, len) == 0;
    }

    return answer_number(data, s, len);
}


static int
answer_number(void *data, const char *s, size_t len)
{
    answer_t               *answer = data;
    const answer_member_t  *m;

    m = answer->member;

    if (m != NULL && m->value[0] == '\0' && len < m->size
        && memchr(s, '\0', len) == NULL)
    {
        memcpy(m->value, s, len);
        m->value[len] = '\0';
    }

    return 1;
}


static int
answer_piece(void *data, const char *s, size_t len)
{
    answer_t  *answer = data;

    if (!answer->is_long || answer->depth != 1) {
        return 1;
    }

    answer->has_long = 1;
    return len == 0 || answer->write(answer->data, s, len) == 0;
}


static int
answer_start(void *data)
{
    answer_t  *answer = data;

    answer->depth++;
    answer->ends[answer->depth] = answer->len;
    answer->member = NULL;
    answer->is_long = 0;

    return 1;
}


static int
answer_end(void *data)
{
    answer_t  *answer = data;

    answer->len = answer->ends[answer->depth];
    answer->depth--;
    answer->member = NULL;
    answer->is_long = 0;

    return 1;
}
