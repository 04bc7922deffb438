/*
 * Copyright (C) ngx_media contributors
 */

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "decoder.h"


/*
 * What the object and cross-reference streams of a PDF expand to, before
 * poppler reads it.  Their dictionaries are never compressed themselves (ISO
 * 32000-1, 7.5.7), so that they are found without a parser: by the keys that
 * poppler needs, as it takes a stream for one without a /Type, too.
 *
 * What a comment, an encryption or another filter hides is left to the limits
 * of time and memory.
 */


#define PDF_RATIO   200         /* of streams of objects that are larger
                                   than */
#define PDF_SMALL   (8 * 1024 * 1024)       /* bytes, unpacked */
#define PDF_BUFFER  65536
#define PDF_NAME    16          /* more than the longest of pdf_names */


typedef struct {
    decoder_answer_t  *ans;
    int64_t            expansion;
    const char        *end;
    int64_t            packed;          /* bytes of streams of objects */
    int64_t            unpacked;
    int                filters;         /* of the dictionary, that expand */
    bool               objects;         /* it is one of such a stream */
} pdf_check_t;


static bool pdf_check_streams(pdf_check_t *pdf, const char *p, z_stream *z);
static bool pdf_check_at(const pdf_check_t *pdf, const char *p,
    const char *word);
static void pdf_check_name(pdf_check_t *pdf, const char *p);
static int pdf_check_char(const pdf_check_t *pdf, const char **p);
static bool pdf_check_stream(pdf_check_t *pdf, const char *p, z_stream *z);


static const struct {
    const char  *name;
    bool         filter;
} pdf_names[] = {
    { "ObjStm",          false },
    { "First",           false },
    { "XRef",            false },
    { "W",               false },
    { "FlateDecode",     true  },
    { "Fl",              true  },
    { "LZWDecode",       true  },
    { "LZW",             true  },
    { "RunLengthDecode", true  },
    { "RL",              true  },
    { NULL,              false }
};


bool
decoder_pdf_check(const char *data, size_t size, int64_t expansion,
    decoder_answer_t *ans)
{
    z_stream     z;
    pdf_check_t  pdf;

    memset(&z, 0, sizeof(z_stream));
    memset(&pdf, 0, sizeof(pdf_check_t));
    pdf.ans = ans;
    pdf.expansion = expansion;
    pdf.end = data + size;

    if (inflateInit(&z) != Z_OK) {
        return decoder_fail(ans, DECODER_REFUSED, "no memory");
    }

    ans->expands = !pdf_check_streams(&pdf, data, &z);
    inflateEnd(&z);

    return !ans->expands;
}


static bool
pdf_check_streams(pdf_check_t *pdf, const char *p, z_stream *z)
{
    for ( /* void */ ; p < pdf->end; p++) {

        switch (*p) {

        case '/':
            pdf_check_name(pdf, p + 1);
            break;

        case 'e':
            if (pdf_check_at(pdf, p, "endobj")
                || pdf_check_at(pdf, p, "endstream"))
            {
                pdf->objects = false;
                pdf->filters = 0;
                p += 5;
            }

            break;

        case 's':
            if (pdf->objects && pdf_check_at(pdf, p, "stream")
                && !pdf_check_stream(pdf, p + 6, z))
            {
                return false;
            }

            break;
        }
    }

    return true;
}


static bool
pdf_check_at(const pdf_check_t *pdf, const char *p, const char *word)
{
    size_t  len;

    len = strlen(word);

    return (size_t) (pdf->end - p) >= len && memcmp(p, word, len) == 0;
}


static void
pdf_check_name(pdf_check_t *pdf, const char *p)
{
    int     c, i;
    char    name[PDF_NAME + 1];
    size_t  n;

    n = 0;

    while (n < PDF_NAME && (c = pdf_check_char(pdf, &p)) > 0) {
        name[n++] = (char) c;
    }

    name[n] = '\0';

    for (i = 0; pdf_names[i].name != NULL; i++) {
        if (strcmp(name, pdf_names[i].name) == 0) {
            pdf->filters += pdf_names[i].filter;
            pdf->objects |= !pdf_names[i].filter;
        }
    }
}


/* the next one of a name, of which #xx is one (7.3.5); 0 at its end */
static int
pdf_check_char(const pdf_check_t *pdf, const char **p)
{
    char  c, hex[3];

    c = *p < pdf->end ? *(*p)++ : '\0';

    if (c == '\0' || strchr("\t\n\f\r ()<>[]{}/%", c) != NULL) {
        return 0;
    }

    if (c != '#' || pdf->end - *p < 2 || !isxdigit((unsigned char) **p)
        || !isxdigit((unsigned char) *(*p + 1)))
    {
        return (unsigned char) c;
    }

    memcpy(hex, *p, 2);
    hex[2] = '\0';
    *p += 2;

    return (int) strtol(hex, NULL, 16);
}


/* what is no such stream ends at once */
static bool
pdf_check_stream(pdf_check_t *pdf, const char *p, z_stream *z)
{
    int            rc;
    int64_t        packed, unpacked;
    unsigned char  buffer[PDF_BUFFER];

    if (pdf->filters > 1) {
        return decoder_fail(pdf->ans, DECODER_REFUSED,
                            "its objects are compressed twice");
    }

    p += p < pdf->end && *p == '\r';
    p += p < pdf->end && *p == '\n';

    inflateReset(z);
    z->next_in = (unsigned char *) p;
    z->avail_in = pdf->end - p;

    do {
        z->next_out = buffer;
        z->avail_out = PDF_BUFFER;
        rc = inflate(z, Z_NO_FLUSH);
        packed = pdf->packed + z->total_in;
        unpacked = pdf->unpacked + z->total_out;

        if (unpacked > pdf->expansion) {
            return decoder_fail(pdf->ans, DECODER_REFUSED,
                        "its objects expand to more than %lld MiB",
                        (long long) pdf->expansion >> 20);
        }

        if (unpacked > PDF_SMALL && unpacked / PDF_RATIO > packed) {
            return decoder_fail(pdf->ans, DECODER_REFUSED,
                        "its objects expand to more than %d times their size",
                        PDF_RATIO);
        }

    } while (rc == Z_OK && z->avail_in > 0);

    pdf->packed = packed;
    pdf->unpacked = unpacked;

    return true;
}
