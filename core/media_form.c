/*
 * Copyright (C) ngx_media contributors
 */

#include <strings.h>

#include "media_form.h"


typedef enum {
    FORM_FIRST = 0,             /* the first boundary, without its CRLF */
    FORM_BOUNDARY,              /* behind one */
    FORM_BOUNDARY_LF,
    FORM_BOUNDARY_DASH,
    FORM_HEADER,
    FORM_BODY,
    FORM_LAST,                  /* behind the last one */
    FORM_LAST_LF,
    FORM_DONE,
    FORM_FAILED
} form_state_t;


static int form_boundary_char(char ch);
static int form_token_char(char ch);
static size_t form_token(const char *p, const char *last);
static int form_equal(media_str_t s, const char *text);
static int form_next(media_str_t *rest, media_str_t *name,
    media_str_t *value);
static ssize_t form_quoted(const char *p, const char *last);
static int form_step(media_form_t *form, const char **p, const char *last);
static int form_char(media_form_t *form, char ch);
static int form_header(media_form_t *form, const char **p, const char *last);
static int form_begin(media_form_t *form);
static int form_line(media_form_part_t *part, media_str_t *disposition,
    const char *p, size_t len);
static int form_disposition(media_form_part_t *part, char *name,
    size_t *name_len, media_str_t value);
static size_t form_unquote(char *dst, media_str_t value);
static size_t form_unescape(char *dst, const char *src, size_t len);
static int form_body(media_form_t *form, const char **p, const char *last);
static int form_emit(media_form_t *form, const char *p, size_t len);


/* RFC 2046: bchars; a space would be allowed but at the end */

static int
form_boundary_char(char ch)
{
    return (ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z')
           || (ch >= 'a' && ch <= 'z')
           || (ch != '\0' && strchr("'()+_,-./:=? ", ch) != NULL);
}


/* RFC 9110, section 5.6.2 */

static int
form_token_char(char ch)
{
    return (ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z')
           || (ch >= 'a' && ch <= 'z')
           || (ch != '\0' && strchr("!#$%&'*+-.^_`|~", ch) != NULL);
}


static size_t
form_token(const char *p, const char *last)
{
    size_t  n;

    for (n = 0; p + n < last && form_token_char(p[n]); n++) { /* void */ }

    return n;
}


static int
form_equal(media_str_t s, const char *text)
{
    return s.len == strlen(text) && strncasecmp(s.data, text, s.len) == 0;
}


int
media_form_type(media_str_t content_type)
{
    size_t       n;
    const char  *p;

    static const char  type[] = "multipart/form-data";

    n = sizeof(type) - 1;
    p = content_type.data;

    return content_type.len >= n && strncasecmp(p, type, n) == 0
           && (content_type.len == n || p[n] == ';' || p[n] == ' '
               || p[n] == '\t');
}


int
media_form_init(media_form_t *form, media_str_t content_type,
    const media_form_limits_t *limits, const media_form_handler_t *handler,
    void *data)
{
    char         boundary[MEDIA_FORM_BOUNDARY_MAX];
    size_t       i, n;
    const char  *p;
    media_str_t  rest, name, value;

    memset(form, 0, sizeof(media_form_t));

    form->handler = handler;
    form->data = data;
    form->limits = *limits;
    form->state = FORM_FAILED;

    if (!media_form_type(content_type)) {
        return MEDIA_ERROR;
    }

    n = 0;
    rest = content_type;

    p = memchr(rest.data, ';', rest.len);
    if (p == NULL) {
        return MEDIA_ERROR;
    }

    media_str_set(&rest, p, (size_t) (content_type.data + rest.len - p));

    while (rest.len) {

        if (form_next(&rest, &name, &value) != MEDIA_OK) {
            return MEDIA_ERROR;
        }

        if (!form_equal(name, "boundary")) {
            continue;
        }

        if (n != 0 || value.len > MEDIA_FORM_BOUNDARY_MAX + 2) {
            return MEDIA_ERROR;
        }

        if (value.data[0] == '"') {
            value.data++;
            value.len -= 2;
        }

        n = value.len;

        if (n == 0 || n > MEDIA_FORM_BOUNDARY_MAX
            || value.data[n - 1] == ' ')
        {
            return MEDIA_ERROR;
        }

        memcpy(boundary, value.data, n);
    }

    if (n == 0) {
        return MEDIA_ERROR;
    }

    for (i = 0; i < n; i++) {
        if (!form_boundary_char(boundary[i])) {
            return MEDIA_ERROR;
        }
    }

    memcpy(form->delimiter, "\r\n--", 4);
    memcpy(form->delimiter + 4, boundary, n);

    form->delimiter_len = n + 4;
    form->matched = 2;
    form->state = FORM_FIRST;

    return MEDIA_OK;
}


/*
 * Takes the next "; name=value" from the front of rest, with its quotes.  A
 * boundary may hold what only quotes allow, and comes without them
 * nevertheless.
 */

static int
form_next(media_str_t *rest, media_str_t *name, media_str_t *value)
{
    size_t       n;
    ssize_t      quoted;
    const char  *p, *last;

    p = rest->data;
    last = p + rest->len;

    if (*p != ';') {
        return MEDIA_ERROR;
    }

    p++;

    while (p < last && (*p == ' ' || *p == '\t')) { p++; }

    n = form_token(p, last);

    if (n == 0 || p + n == last || p[n] != '=') {
        return MEDIA_ERROR;
    }

    media_str_set(name, p, n);
    p += n + 1;

    if (p < last && *p == '"') {
        quoted = form_quoted(p, last);
        if (quoted < 0) {
            return MEDIA_ERROR;
        }

        n = (size_t) quoted;

    } else {
        n = 0;

        while (p + n < last
               && (form_token_char(p[n])
                   || (form_boundary_char(p[n]) && p[n] != ' ')))
        {
            n++;
        }
    }

    if (n == 0) {
        return MEDIA_ERROR;
    }

    media_str_set(value, p, n);
    p += n;

    while (p < last && (*p == ' ' || *p == '\t')) { p++; }

    media_str_set(rest, p, (size_t) (last - p));

    return MEDIA_OK;
}


/* the length of a quoted string with its quotes */

static ssize_t
form_quoted(const char *p, const char *last)
{
    const char  *start;

    start = p++;

    for ( /* void */ ; p < last; p++) {

        if (*p == '"') {
            return p + 1 - start;
        }

        if (*p == '\\' && ++p == last) {
            break;
        }
    }

    return MEDIA_ERROR;
}


int
media_form_feed(media_form_t *form, const char *p, size_t len)
{
    int          rc;
    const char  *last;

    last = p + len;

    while (p < last) {
        rc = form_step(form, &p, last);

        if (rc != MEDIA_OK) {
            form->state = FORM_FAILED;
            return rc;
        }
    }

    return MEDIA_OK;
}


int
media_form_finish(const media_form_t *form)
{
    return form->state == FORM_LAST || form->state == FORM_DONE
           ? MEDIA_OK : MEDIA_ERROR;
}


static int
form_step(media_form_t *form, const char **p, const char *last)
{
    switch (form->state) {

    case FORM_HEADER:
        return form_header(form, p, last);

    case FORM_BODY:
        return form_body(form, p, last);

    default:
        return form_char(form, *(*p)++);
    }
}


static int
form_char(media_form_t *form, char ch)
{
    switch (form->state) {

    case FORM_FIRST:
        if (ch != form->delimiter[form->matched]) {
            return MEDIA_ERROR;
        }

        if (++form->matched == form->delimiter_len) {
            form->state = FORM_BOUNDARY;
        }

        return MEDIA_OK;

    case FORM_BOUNDARY:
        if (ch == '\r') {
            form->state = FORM_BOUNDARY_LF;
            return MEDIA_OK;
        }

        form->state = FORM_BOUNDARY_DASH;
        return ch == '-' ? MEDIA_OK : MEDIA_ERROR;

    case FORM_BOUNDARY_LF:
        if (++form->parts > form->limits.parts) {
            return MEDIA_NOSPACE;
        }

        form->state = FORM_HEADER;
        form->header_len = 0;
        return ch == '\n' ? MEDIA_OK : MEDIA_ERROR;

    case FORM_BOUNDARY_DASH:
        form->state = FORM_LAST;
        return ch == '-' ? MEDIA_OK : MEDIA_ERROR;

    case FORM_LAST:
        form->state = FORM_LAST_LF;
        return ch == '\r' ? MEDIA_OK : MEDIA_ERROR;

    case FORM_LAST_LF:
        form->state = FORM_DONE;
        return ch == '\n' ? MEDIA_OK : MEDIA_ERROR;

    default: /* FORM_DONE, FORM_FAILED */
        return MEDIA_ERROR;
    }
}


static int
form_header(media_form_t *form, const char **p, const char *last)
{
    char  *header;

    header = form->header;

    while (*p < last) {

        if (form->header_len == MEDIA_FORM_HEADER_MAX) {
            return MEDIA_NOSPACE;
        }

        header[form->header_len++] = *(*p)++;

        if (form->header_len >= 4
            && memcmp(header + form->header_len - 4, "\r\n\r\n", 4) == 0)
        {
            return form_begin(form);
        }
    }

    return MEDIA_OK;
}


static int
form_begin(media_form_t *form)
{
    char               name[MEDIA_FORM_HEADER_MAX];
    char               file_name[MEDIA_DISPOSITION_NAME_MAX];
    size_t             len;
    const char        *p, *end, *last;
    media_str_t        disposition;
    media_form_part_t  part;

    memset(&part, 0, sizeof(media_form_part_t));
    memset(&disposition, 0, sizeof(media_str_t));

    last = form->header + form->header_len - 2;

    for (p = form->header; p < last; p = end + 2) {

        for (end = p; *end != '\r' && *end != '\n' && *end != '\0'; end++) {
            /* void */
        }

        if (end[0] != '\r' || end[1] != '\n'
            || form_line(&part, &disposition, p, (size_t) (end - p))
               != MEDIA_OK)
        {
            return MEDIA_ERROR;
        }
    }

    len = 0;

    if (form_disposition(&part, name, &len, disposition) != MEDIA_OK) {
        return MEDIA_ERROR;
    }

    media_str_set(&part.name, name, len);

    if (part.file) {
        len = media_disposition_name(file_name, disposition);
        len = form_unescape(file_name, file_name, len);
        media_str_set(&part.file_name, file_name, len);
    }

    form->file = part.file;
    form->field = 0;
    form->matched = 0;
    form->state = FORM_BODY;

    return form->handler->begin(form->data, &part);
}


static int
form_line(media_form_part_t *part, media_str_t *disposition, const char *p,
    size_t len)
{
    size_t        n;
    media_str_t   name, value, *field;
    const char   *last;

    last = p + len;
    n = form_token(p, last);

    /* also of a line that goes on where the one before ended */

    if (n == 0 || n == len || p[n] != ':') {
        return MEDIA_ERROR;
    }

    media_str_set(&name, p, n);

    p += n + 1;

    while (p < last && (*p == ' ' || *p == '\t')) { p++; }
    while (last > p && (last[-1] == ' ' || last[-1] == '\t')) { last--; }

    media_str_set(&value, p, (size_t) (last - p));

    if (form_equal(name, "Content-Transfer-Encoding")) {
        return form_equal(value, "binary") || form_equal(value, "8bit")
               || form_equal(value, "7bit")
               ? MEDIA_OK : MEDIA_ERROR;
    }

    if (form_equal(name, "Content-Disposition")) {
        field = disposition;

    } else if (form_equal(name, "Content-Type")) {
        field = &part->type;

    } else {
        return MEDIA_OK;
    }

    if (field->len != 0 || value.len == 0) {
        return MEDIA_ERROR;
    }

    *field = value;

    return MEDIA_OK;
}


static int
form_disposition(media_form_part_t *part, char *name, size_t *name_len,
    media_str_t value)
{
    size_t       n, file, extended;
    media_str_t  type, key, rest;

    if (value.len == 0) {
        return MEDIA_ERROR;
    }

    n = form_token(value.data, value.data + value.len);
    media_str_set(&type, value.data, n);

    if (!form_equal(type, "form-data")) {
        return MEDIA_ERROR;
    }

    media_str_set(&rest, value.data + n, value.len - n);

    while (rest.len && (*rest.data == ' ' || *rest.data == '\t')) {
        rest.data++;
        rest.len--;
    }

    file = 0;
    extended = 0;

    while (rest.len) {

        if (form_next(&rest, &key, &value) != MEDIA_OK) {
            return MEDIA_ERROR;
        }

        if (form_equal(key, "name")) {

            if (*name_len != 0) {
                return MEDIA_ERROR;
            }

            *name_len = form_unquote(name, value);

        } else if (form_equal(key, "filename")) {
            file++;

        } else if (form_equal(key, "filename*")) {
            extended++;
        }
    }

    part->file = file || extended;

    return *name_len != 0 && file <= 1 && extended <= 1
           ? MEDIA_OK : MEDIA_ERROR;
}


static size_t
form_unquote(char *dst, media_str_t value)
{
    size_t  i, n;

    if (value.data[0] != '"') {
        memcpy(dst, value.data, value.len);
        return value.len;
    }

    for (i = 1, n = 0; i < value.len - 1; i++) {

        if (value.data[i] == '\\') {
            i++;
        }

        dst[n++] = value.data[i];
    }

    return form_unescape(dst, dst, n);
}


/* browsers write a quote as %22, and leave a percent sign as it is:
   https://html.spec.whatwg.org/#multipart-form-data */

static size_t
form_unescape(char *dst, const char *src, size_t len)
{
    size_t  i, n;

    for (i = 0, n = 0; i < len; i++) {

        if (len - i >= 3 && memcmp(src + i, "%22", 3) == 0) {
            dst[n++] = '"';
            i += 2;
            continue;
        }

        dst[n++] = src[i];
    }

    return n;
}


/*
 * The delimiter begins with its only CR, so that a match that fails can begin
 * again at the byte that failed only; and what an earlier piece left of it is
 * the delimiter's own beginning.
 */

static int
form_body(media_form_t *form, const char **p, const char *last)
{
    int          rc;
    size_t       carried;
    const char  *s, *run;

    run = *p;
    carried = form->matched;

    for (s = run; s < last; /* void */ ) {

        if (form->matched == 0) {
            s = memchr(s, '\r', (size_t) (last - s));

            if (s == NULL) {
                s = last;
                break;
            }

            form->matched = 1;
            s++;
            continue;
        }

        if (*s != form->delimiter[form->matched]) {

            rc = form_emit(form, form->delimiter, carried);
            if (rc != MEDIA_OK) {
                return rc;
            }

            carried = 0;
            form->matched = 0;
            continue;
        }

        s++;

        if (++form->matched == form->delimiter_len) {
            form->state = FORM_BOUNDARY;
            break;
        }
    }

    *p = s;

    rc = form_emit(form, run,
                   (size_t) (s - run) - (form->matched - carried));

    if (rc != MEDIA_OK || form->state == FORM_BODY
        || form->handler->end == NULL)
    {
        return rc;
    }

    return form->handler->end(form->data);
}


static int
form_emit(media_form_t *form, const char *p, size_t len)
{
    if (len == 0) {
        return MEDIA_OK;
    }

    if (!form->file) {
        form->field += len;

        if (form->field > form->limits.field) {
            return MEDIA_NOSPACE;
        }
    }

    return form->handler->piece(form->data, p, len);
}
