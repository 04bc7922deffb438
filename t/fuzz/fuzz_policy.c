/*
 * Copyright (C) ngx_media contributors
 *
 * The policy of an HTML form.  The first line of the input is the policy's
 * JSON, which we sign; then come "name=value" lines, the form's fields.
 */

#include "fuzz.h"
#include "media_codec.h"
#include "media_post_policy.h"
#include "media_sigv4_canonical.h"


#define NOW     1767225600
#define DATE    "20260101T000000Z"
#define FIELDS  16


static int
verify(const media_sigv4_header_t *fields, size_t n, int64_t *min,
    int64_t *max)
{
    media_sigv4_cred_t  cred;

    static const media_str_t  bucket = media_str("media");

    memset(&cred, 0, sizeof(cred));
    cred.access_key = fuzz_text("AKIAIOSFODNN7EXAMPLE");
    cred.secret_key = fuzz_text("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    cred.region = fuzz_text("us-east-1");

    return media_post_policy_verify(&cred, bucket, fields, n, NOW, min, max);
}


static void
sign(char *dst, const char *text, size_t len)
{
    media_sigv4_cred_t  cred;

    memset(&cred, 0, sizeof(cred));
    cred.access_key = fuzz_text("AKIAIOSFODNN7EXAMPLE");
    cred.secret_key = fuzz_text("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    cred.region = fuzz_text("us-east-1");

    fuzz_check(sigv4_sign_text(&cred, DATE, text, len, dst) == MEDIA_OK);
}


static void
add(media_sigv4_header_t *field, const char *name, media_str_t value)
{
    field->name = fuzz_text(name);
    field->value = value;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                    rc;
    char                  *copy, *base64, signature[SIGV4_SIGNATURE];
    size_t                 n;
    int64_t                min, max;
    media_str_t            in, policy, line, s;
    media_sigv4_header_t   fields[FIELDS + 8];

    copy = fuzz_copy(data, size);
    media_str_set(&in, copy, size);
    policy = fuzz_cut(&in, '\n');

    base64 = malloc(MEDIA_BASE64_LEN(policy.len) + 1);
    fuzz_check(base64 != NULL);
    (void) media_base64_encode(base64, policy.data, policy.len);
    media_str_set(&s, base64, MEDIA_BASE64_LEN(policy.len));

    n = 0;
    add(&fields[n++], "policy", s);
    add(&fields[n++], "x-amz-algorithm", fuzz_text(SIGV4_ALGORITHM));
    add(&fields[n++], "X-Amz-Date", fuzz_text(DATE));
    add(&fields[n++], "x-amz-credential",
        fuzz_text("AKIAIOSFODNN7EXAMPLE/20260101/us-east-1/s3/aws4_request"));
    sign(signature, s.data, s.len);
    media_str_set(&s, signature, sizeof(signature));
    add(&fields[n++], "x-amz-signature", s);

    while (in.len && n < FIELDS) {
        line = fuzz_cut(&in, '\n');
        fields[n].name = fuzz_cut(&line, '=');
        fields[n++].value = line;
    }

    rc = verify(fields, n, &min, &max);
    fuzz_check(rc != MEDIA_SIGV4_MISSING && rc != MEDIA_SIGV4_BAD_KEY);

    if (rc == MEDIA_OK) {
        fuzz_check(min >= 0 && (max == -1 || min <= max));

        add(&fields[n], "not-in-the-policy", fuzz_text("x"));
        fuzz_check(verify(fields, n + 1, &min, &max) != MEDIA_OK
                   || memmem(policy.data, policy.len, "not-in-the", 10)
                      != NULL);

        signature[7] ^= 1;
        fuzz_check(verify(fields, n, &min, &max) == MEDIA_SIGV4_MISMATCH);
    }

    free(base64);
    free(copy);

    return 0;
}
