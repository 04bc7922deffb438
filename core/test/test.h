/*
 * Copyright (C) ngx_media contributors
 *
 * Counting of checks.  A test program calls ok() for each check and ends
 * with "return test_done();".  Programs run from the repository's root.
 */

#ifndef MEDIA_TEST_H
#define MEDIA_TEST_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "media_core.h"


static int  passed, failed;


/* the arguments after cond are printf's; they name the case that failed */
#define ok(cond, ...)                                                         \
    do {                                                                      \
        if (cond) {                                                           \
            passed++;                                                         \
                                                                              \
        } else {                                                              \
            failed++;                                                         \
            printf("not ok: %s:%d: ", __FILE__, __LINE__);                    \
            printf(__VA_ARGS__);                                              \
            printf("\n");                                                     \
        }                                                                     \
    } while (0)


/* prints the last line and returns the exit code */
static inline int
test_done(void)
{
    printf("%d passed, %d failed\n", passed, failed);

    return failed != 0 || passed == 0;
}


/* a view of a zero-terminated string */
static inline media_str_t
str(const char *s)
{
    media_str_t  v;

    media_str_set(&v, s, strlen(s));

    return v;
}


/* a random number generator (xorshift64*) that repeats from a seed */
static inline uint64_t
test_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;

    return *state * 0x2545f4914f6cdd1dULL;
}


/*
 * Reads a whole file; the caller frees it.  Exits if it cannot: a missing
 * fixture is no passed test.
 */
static inline char *
test_read_file(const char *path, size_t *len)
{
    long   n;
    char  *data;
    FILE  *file;

    file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0
        || (n = ftell(file)) < 0 || fseek(file, 0, SEEK_SET) != 0)
    {
        printf("cannot read \"%s\"\n", path);
        exit(2);
    }

    data = malloc((size_t) n + 1);
    if (data == NULL || fread(data, 1, (size_t) n, file) != (size_t) n) {
        printf("cannot read \"%s\"\n", path);
        exit(2);
    }

    fclose(file);

    data[n] = '\0';
    *len = (size_t) n;

    return data;
}

#endif
