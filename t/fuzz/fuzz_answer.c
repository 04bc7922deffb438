/*
 * Copyright (C) ngx_media contributors
 *
 * What providers answer: the members that are asked for, the same however the
 * answer is cut, and the one long string handed on as it comes.
 */

#include "fuzz.h"
#include "media_worker.h"


#define SMALL  16


typedef struct {
    uint64_t  sum;
    int64_t   len;
} writer_t;


static int write_piece(void *data, const char *s, size_t len);


static int
run(uint64_t *sum, fuzz_cut_t cut, const uint8_t *data, size_t size)
{
    int              rc;
    char             id[SMALL], url[64], code[8], first[SMALL], deep[SMALL];
    char            *copy;
    size_t           i, n, done;
    uint64_t         seed;
    answer_t         answer;
    writer_t         writer = { FUZZ_SUM, 0 };
    answer_member_t  members[] = {
        { "id", id, sizeof(id) },
        { "url", url, sizeof(url) },
        { "error.code", code, sizeof(code) },
        { "messages.id", first, sizeof(first) },
        { "error.error_data.details", deep, sizeof(deep) },
        { NULL, NULL, 0 }
    };

    fuzz_check(answer_open(&answer, members, "base64", write_piece, &writer)
               == 0);

    rc = 0;
    seed = *sum = FUZZ_SUM;

    for (done = 0; done < size && rc == 0; done += n) {
        n = fuzz_piece(cut, &seed, data + done, size - done);
        copy = fuzz_copy(data + done, n);
        rc = answer_write(&answer, copy, n);
        free(copy);
    }

    rc |= answer_close(&answer);

    for (i = 0; members[i].name != NULL; i++) {
        fuzz_check(memchr(members[i].value, '\0', members[i].size) != NULL);
        fuzz_str(sum, fuzz_text(members[i].value));
    }

    fuzz_number(sum, answer.has_long);
    fuzz_number(sum, writer.len);
    fuzz_bytes(sum, &writer.sum, sizeof(writer.sum));

    return rc;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int         rc;
    uint64_t    sum, again;
    fuzz_cut_t  cut;

    rc = run(&sum, FUZZ_WHOLE, data, size);

    for (cut = FUZZ_BYTES; cut < FUZZ_CUTS; cut++) {
        fuzz_check(run(&again, cut, data, size) == rc);
        fuzz_check(again == sum || rc != 0);
    }

    return 0;
}


static int
write_piece(void *data, const char *s, size_t len)
{
    writer_t  *writer = data;

    fuzz_bytes(&writer->sum, s, len);
    writer->len += (int64_t) len;

    return 0;
}
