/*
 * Copyright (C) ngx_media contributors
 *
 * JWK sets: keys, or a reason that shows nothing of them.
 */

#include "fuzz.h"
#include "media_jwt.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char               *copy, error[MEDIA_JWT_ERROR_MAX];
    media_str_t         s;
    media_jwt_keys_t   *keys;

    memset(error, 'x', sizeof(error));
    error[0] = '\0';

    copy = fuzz_copy(data, size);
    media_str_set(&s, copy, size);

    keys = media_jwt_keys_create(s, error);

    if (keys == NULL) {
        fuzz_check(memchr(error, '\0', sizeof(error)) != NULL);
        fuzz_check(error[0] != '\0');

    } else {
        (void) media_jwt_keys_private(keys);
    }

    free(copy);
    media_jwt_keys_free(keys);

    return 0;
}
