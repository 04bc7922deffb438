/*
 * Copyright (C) ngx_media contributors
 */

#include <magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "decoder.h"


/*
 * The type of a file by its content (libmagic), in the decoder process.
 * Compressed files and archives are not looked into.
 */


#define DECODER_SNIFF_MAX    (256 * 1024)   /* bytes libmagic looks at */
#define DECODER_SNIFF_FLAGS  (MAGIC_NO_CHECK_COMPRESS | MAGIC_NO_CHECK_TAR)


static const char *decoder_sniff_usual(const char *type);


static magic_t  decoder_magic;


/* without a database there is no decoder */
void
decoder_sniff_init(void)
{
    size_t  limit;

    decoder_magic = magic_open(DECODER_SNIFF_FLAGS | MAGIC_MIME_TYPE);

    if (decoder_magic == NULL || magic_load(decoder_magic, NULL) != 0) {
        exit(1);
    }

    limit = DECODER_SNIFF_MAX;
    magic_setparam(decoder_magic, MAGIC_PARAM_BYTES_MAX, &limit);
}


bool
decoder_sniff(int in, decoder_answer_t *ans)
{
    const char  *type;

    if (lseek(in, 0, SEEK_END) == 0) {
        snprintf(ans->type, sizeof(ans->type), "application/x-empty");
        return true;
    }

    lseek(in, 0, SEEK_SET);
    type = magic_descriptor(decoder_magic, in);

    if (type == NULL) {
        return decoder_fail(ans, DECODER_UNKNOWN,
                            "the type of the content cannot be told");
    }

    snprintf(ans->type, sizeof(ans->type), "%s", decoder_sniff_usual(type));
    return true;
}


static const char *
decoder_sniff_usual(const char *type)
{
    /* only its parts tell whether an archive is a document, and of which
       kind: libmagic takes one with macros for one without */
    if (strncmp(type, "application/vnd.openxmlformats-officedocument", 45) == 0
        || strncmp(type, "application/vnd.oasis.opendocument.", 35) == 0)
    {
        return "application/zip";
    }

    /* before 5.46 libmagic had no names of their own for these, the first of
       which is any text that begins with "From" */
    if (strcmp(type, "application/mbox") == 0
        || strcmp(type, "application/x-pem-file") == 0)
    {
        return "text/plain";
    }

    return type;
}


const char *
decoder_sniff_charset(int in)
{
    const char  *charset;

    lseek(in, 0, SEEK_SET);
    magic_setflags(decoder_magic, DECODER_SNIFF_FLAGS | MAGIC_MIME_ENCODING);
    charset = magic_descriptor(decoder_magic, in);
    magic_setflags(decoder_magic, DECODER_SNIFF_FLAGS | MAGIC_MIME_TYPE);

    return charset != NULL ? charset : "";
}
