/*
 * Copyright (C) ngx_media contributors
 *
 * Uploads by HTML forms: the policy that a POST to a bucket carries, signed
 * and verified.
 * docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
 * docs.aws.amazon.com/AmazonS3/latest/API/sigv4-post-example.html
 */

#ifndef MEDIA_POST_POLICY_H
#define MEDIA_POST_POLICY_H

#include <time.h>

#include "media_core.h"
#include "media_sigv4.h"


#define MEDIA_POST_POLICY_MAX         8192  /* bytes of its base64 text */
#define MEDIA_POST_POLICY_CONDITIONS  64
#define MEDIA_POST_POLICY_FIELDS      64    /* of a form */
#define MEDIA_POST_POLICY_CREDENTIAL  256   /* bytes of x-amz-credential */


/* MEDIA_SIGV4_* are results, too; a condition does not hold: AccessDenied */
#define MEDIA_POST_POLICY_DENIED      (-20)


/* what a policy allows: the fields, each with this value, and a file */
typedef struct {
    media_str_t                  bucket;
    const media_sigv4_header_t  *fields;    /* key among them */
    size_t                       nfields;
    int64_t                      min;       /* bytes of the file */
    int64_t                      max;
    time_t                       expires;
} media_post_policy_t;


/* fields of the form besides those of the policy; with a zero each.  There is
   x-amz-algorithm, too: "AWS4-HMAC-SHA256", and x-amz-security-token if the
   credentials have one. */
typedef struct {
    char                         policy[MEDIA_POST_POLICY_MAX + 1];
    char                         credential[MEDIA_POST_POLICY_CREDENTIAL];
    char                         date[MEDIA_SIGV4_DATE_LEN + 1];
    char                         signature[64 + 1];
} media_post_form_t;


/*
 * Writes what the form holds as hidden fields.  MEDIA_OK, MEDIA_NOSPACE, or
 * MEDIA_ERROR: a control byte in a field, or no signing key.
 */
int media_post_policy_sign(media_post_form_t *form, media_sigv4_cred_t *cred,
    const media_post_policy_t *policy, time_t now);

/*
 * Verifies the fields that came before the file, names in any case: the
 * signature, the time, each condition, and that each field and the bucket has
 * one.  *min and *max are the sizes of a
 * file that the policy allows, *max -1 if it does not say.  The caller's key
 * has ${filename} replaced already.  MEDIA_OK; MEDIA_POST_POLICY_DENIED;
 * MEDIA_SIGV4_MISSING (no policy), _MALFORMED, _BAD_KEY, _BAD_SCOPE,
 * _MISMATCH, _EXPIRED, _SKEWED.
 */
int media_post_policy_verify(media_sigv4_cred_t *cred, media_str_t bucket,
    const media_sigv4_header_t *fields, size_t nfields, time_t now,
    int64_t *min, int64_t *max);

#endif
