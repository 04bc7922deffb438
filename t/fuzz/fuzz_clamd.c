/*
 * Copyright (C) ngx_media contributors
 *
 * What clamd answers: the same verdict however the answer is cut, and clean
 * only if it says exactly so.
 */

#include "fuzz.h"
#include "media_worker.h"


#define CLEAN  "stream: OK"
#define LIMIT  "Heuristics.Limits.Exceeded"


static int run(fuzz_cut_t cut, const uint8_t *data, size_t size,
    clamd_answer_t *answer);
static void check(const clamd_answer_t *answer, scan_result_t rc,
    const char *error);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int             rc;
    char            error[256], small[16];
    size_t          len;
    fuzz_cut_t      cut;
    scan_result_t   verdict;
    clamd_answer_t  answer, again;

    rc = run(FUZZ_WHOLE, data, size, &answer);

    for (cut = FUZZ_BYTES; cut < FUZZ_CUTS; cut++) {
        fuzz_check(run(cut, data, size, &again) == rc);
        fuzz_check(rc != 1 || (again.len == answer.len
                               && strcmp(again.text, answer.text) == 0));
    }

    len = strnlen((const char *) data, size);
    fuzz_check((rc == 1) == (len < size && len < CLAMD_ANSWER_MAX));

    if (rc == 1) {
        error[0] = small[0] = '\0';
        again = answer;
        verdict = clamd_answer_verdict(&again, error, sizeof(error));
        check(&answer, verdict, error);

        again = answer;
        fuzz_check(clamd_answer_verdict(&again, small, sizeof(small))
                   == verdict);
        fuzz_check(strncmp(small, error, sizeof(small) - 1) == 0);
    }

    return 0;
}


static int
run(fuzz_cut_t cut, const uint8_t *data, size_t size, clamd_answer_t *answer)
{
    int       rc;
    char     *copy;
    size_t    n, done;
    uint64_t  seed;

    rc = 0;
    seed = FUZZ_SUM;
    memset(answer, 0, sizeof(clamd_answer_t));

    for (done = 0; done < size && rc == 0; done += n) {
        n = fuzz_piece(cut, &seed, data + done, size - done);
        copy = fuzz_copy(data + done, n);
        rc = clamd_answer_write(answer, copy, n);
        free(copy);
    }

    return rc;
}


static void
check(const clamd_answer_t *answer, scan_result_t rc, const char *error)
{
    const char  *p;

    fuzz_check(answer->len == strlen(answer->text));
    fuzz_check((rc == SCAN_CLEAN) == (strcmp(answer->text, CLEAN) == 0));
    fuzz_check((rc == SCAN_CLEAN) == (error[0] == '\0'));
    fuzz_check(rc <= SCAN_ERROR);
    fuzz_check(rc != SCAN_INFECTED
               || (strncmp(answer->text, "stream: ", 8) == 0
                   && strncmp(error, LIMIT, strlen(LIMIT)) != 0));

    for (p = error; *p != '\0'; p++) {
        fuzz_check(*p >= 0x20 && *p <= 0x7e);
    }
}
