/*
 * Copyright (C) ngx_media contributors
 */

#include <string.h>

#include "decoder.h"


/*
 * What a file is, told by what reads its type; content that lies about its
 * type finds something else that cannot read it.
 */


typedef struct {
    const char  *types;             /* a type, or how some begin */
    void       (*inspect)(const decoder_request_t *req, int in, int out,
                          decoder_answer_t *ans);
} decoder_family_t;


/* the first that fits */
static const decoder_family_t  decoder_families[] = {
    { "image/",                decoder_image  },
    { "audio/",                decoder_av     },
    { "video/",                decoder_av     },
    { "application/ogg",       decoder_av     },
    { "application/pdf",       decoder_pdf    },
    { "application/zip",       decoder_office },
    { "application/encrypted", decoder_office },
    { "application/json",      decoder_text   },
    { "application/x-ndjson",  decoder_text   },
    { "application/csv",       decoder_text   },
    { "message/rfc822",        decoder_text   },
    { "text/",                 decoder_text   },
    { NULL,                    NULL           }
};


void
decoder_inspect(const decoder_request_t *req, int in, int out,
    decoder_answer_t *ans)
{
    const decoder_family_t  *f;

    for (f = decoder_families; f->types != NULL; f++) {
        if (strncmp(ans->type, f->types, strlen(f->types)) == 0) {
            f->inspect(req, in, out, ans);
            return;
        }
    }

    decoder_fail(ans, DECODER_UNKNOWN, "no decoder for this type");
}
