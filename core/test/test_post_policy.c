/*
 * Copyright (C) ngx_media contributors
 *
 * Policies of forms: AWS's published example, our own, each condition broken,
 * and malformed documents that are well signed.
 */

#include "media_codec.h"
#include "media_post_policy.h"
#include "media_sigv4_canonical.h"
#include "test.h"


#define EXAMPLE_NOW  1451347200         /* 2015-12-29T00:00:00Z */
#define FUZZ_RUNS    20000


static void test_example(void);
static void test_own(void);
static void test_conditions(void);
static void test_documents(void);
static void test_fuzz(void);


static const char  example[] =
    "{ \"expiration\": \"2015-12-30T12:00:00.000Z\",\r\n"
    "  \"conditions\": [\r\n"
    "    {\"bucket\": \"sigv4examplebucket\"},\r\n"
    "    [\"starts-with\", \"$key\", \"user/user1/\"],\r\n"
    "    {\"acl\": \"public-read\"},\r\n"
    "    {\"success_action_redirect\": \"http://sigv4examplebucket.s3."
    "amazonaws.com/successful_upload.html\"},\r\n"
    "    [\"starts-with\", \"$Content-Type\", \"image/\"],\r\n"
    "    {\"x-amz-meta-uuid\": \"14365123651274\"},\r\n"
    "    {\"x-amz-server-side-encryption\": \"AES256\"},\r\n"
    "    [\"starts-with\", \"$x-amz-meta-tag\", \"\"],\r\n"
    "\r\n"
    "    {\"x-amz-credential\": \"AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/"
    "aws4_request\"},\r\n"
    "    {\"x-amz-algorithm\": \"AWS4-HMAC-SHA256\"},\r\n"
    "    {\"x-amz-date\": \"20151229T000000Z\" }\r\n"
    "  ]\r\n"
    "}";


static media_sigv4_cred_t    cred;
static media_sigv4_header_t  fields[80];
static size_t                nfields;
static int64_t               min, max;


static void
set_cred(void)
{
    memset(&cred, 0, sizeof(cred));
    cred.access_key = str("AKIAIOSFODNN7EXAMPLE");
    cred.secret_key = str("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    cred.region = str("us-east-1");
}


static media_sigv4_header_t *
field(const char *name)
{
    size_t  i;

    for (i = 0; i < nfields; i++) {
        if (strcmp(fields[i].name.data, name) == 0) {
            return &fields[i];
        }
    }

    printf("no field \"%s\"\n", name);
    exit(2);
}


static void
add(const char *name, const char *value)
{
    fields[nfields].name = str(name);
    fields[nfields++].value = str(value);
}


static int
verify(const char *bucket, time_t now)
{
    set_cred();

    return media_post_policy_verify(&cred, str(bucket), fields, nfields, now,
                                    &min, &max);
}


/* the fields of a document that is well signed */

static void
set_document(const char *json, size_t len)
{
    static char  policy[2 * MEDIA_POST_POLICY_MAX], signature[65];

    set_cred();
    nfields = 0;

    policy[media_base64_encode(policy, json, len)] = '\0';
    (void) sigv4_sign_text(&cred, "20151229", policy, strlen(policy),
                           signature);

    add("policy", policy);
    add("x-amz-algorithm", "AWS4-HMAC-SHA256");
    add("X-Amz-Credential",
        "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request");
    add("X-Amz-Date", "20151229T000000Z");
    add("x-amz-signature", signature);
}


static void
set_example(void)
{
    set_document(example, sizeof(example) - 1);

    add("key", "user/user1/cat.jpg");
    add("acl", "public-read");
    add("success_action_redirect", "http://sigv4examplebucket.s3.amazonaws."
        "com/successful_upload.html");
    add("Content-Type", "image/jpeg");
    add("x-amz-meta-uuid", "14365123651274");
    add("x-amz-server-side-encryption", "AES256");
    add("x-amz-meta-tag", "");
}


static void
test_example(void)
{
    int  rc;

    set_example();

    ok(memcmp(field("x-amz-signature")->value.data,
              "8afdbf4008c03f22c2cd3cdb72e4afbb"
              "1f6a588f3255ac628749a66d7f09699e",
              64)
       == 0, "AWS's signature: %s", field("x-amz-signature")->value.data);

    rc = verify("sigv4examplebucket", EXAMPLE_NOW);
    ok(rc == MEDIA_OK && min == 0 && max == -1, "AWS's form: %d", rc);

    rc = verify("sigv4examplebucket", EXAMPLE_NOW + 36 * 3600 - 1);
    ok(rc == MEDIA_OK, "the last second: %d", rc);
    rc = verify("sigv4examplebucket", EXAMPLE_NOW + 36 * 3600);
    ok(rc == MEDIA_SIGV4_EXPIRED, "expired: %d", rc);
    rc = verify("sigv4examplebucket", EXAMPLE_NOW - 901);
    ok(rc == MEDIA_SIGV4_SKEWED, "signed in the future: %d", rc);
}


static void
test_own(void)
{
    int                   rc;
    char                  policy[MEDIA_POST_POLICY_MAX];
    ssize_t               n;
    media_sigv4_header_t  own[2];
    media_post_form_t     form;
    media_post_policy_t   p;

    set_cred();

    memset(&p, 0, sizeof(p));
    own[0].name = str("key");
    own[0].value = str("uploads/t/\"\\\xc3\xa9");
    own[1].name = str("Content-Type");
    own[1].value = str("image/png");
    p.bucket = str("b");
    p.fields = own;
    p.nfields = 2;
    p.min = 7;
    p.max = 9;
    p.expires = EXAMPLE_NOW + 300;

    rc = media_post_policy_sign(&form, &cred, &p, EXAMPLE_NOW);
    ok(rc == MEDIA_OK, "signed: %d", rc);

    n = media_base64_decode(policy, sizeof(policy), form.policy,
                            strlen(form.policy));
    ok(n > 0 && strncmp(policy, "{\"expiration\":\"2015-12-29T00:05:00.000Z\","
                        "\"conditions\":[{\"bucket\":\"b\"},"
                        "[\"content-length-range\",7,9],", 85) == 0,
       "document: %.*s", (int) n, policy);

    nfields = 0;
    add("policy", form.policy);
    add("x-amz-algorithm", "AWS4-HMAC-SHA256");
    add("x-amz-credential", form.credential);
    add("x-amz-date", form.date);
    add("x-amz-signature", form.signature);
    add("key", own[0].value.data);
    add("content-type", "image/png");

    rc = verify("b", EXAMPLE_NOW);
    ok(rc == MEDIA_OK && min == 7 && max == 9, "own form: %d, %d, %d", rc,
       (int) min, (int) max);

    rc = verify("c", EXAMPLE_NOW);
    ok(rc == MEDIA_POST_POLICY_DENIED, "another bucket: %d", rc);

    set_cred();
    cred.session_token = str("token");
    rc = media_post_policy_sign(&form, &cred, &p, EXAMPLE_NOW);
    add("x-amz-security-token", "token");
    field("policy")->value = str(form.policy);
    field("x-amz-signature")->value = str(form.signature);
    rc = media_post_policy_verify(&cred, str("b"), fields, nfields,
                                  EXAMPLE_NOW, &min, &max);
    ok(rc == MEDIA_OK, "session token: %d", rc);
    rc = verify("b", EXAMPLE_NOW);
    ok(rc == MEDIA_SIGV4_BAD_KEY, "a token that is not ours: %d", rc);

    own[1].value = str("image/png\r\nX: y");
    rc = media_post_policy_sign(&form, &cred, &p, EXAMPLE_NOW);
    ok(rc == MEDIA_ERROR, "control bytes: %d", rc);

    own[1].value = str(memset(policy, 'x', sizeof(policy) - 1));
    rc = media_post_policy_sign(&form, &cred, &p, EXAMPLE_NOW);
    ok(rc == MEDIA_NOSPACE, "too long: %d", rc);
}


static void
test_conditions(void)
{
    int     rc;
    size_t  i;

    static const struct {
        const char  *name;
        const char  *value;
        int          rc;
    } changes[] = {
        { "key", "user/user2/cat.jpg", MEDIA_POST_POLICY_DENIED },
        { "key", "user/user1", MEDIA_POST_POLICY_DENIED },
        { "key", "", MEDIA_POST_POLICY_DENIED },
        { "acl", "private", MEDIA_POST_POLICY_DENIED },
        { "acl", "public-reads", MEDIA_POST_POLICY_DENIED },
        { "Content-Type", "text/html", MEDIA_POST_POLICY_DENIED },
        { "x-amz-meta-tag", "anything", MEDIA_OK },
        { "x-amz-signature", "8afdbf4008c03f22", MEDIA_SIGV4_MISMATCH },
        { "x-amz-algorithm", "AWS4-HMAC-SHA1", MEDIA_SIGV4_MALFORMED },
        { "X-Amz-Date", "20151229", MEDIA_SIGV4_MALFORMED },
        { "X-Amz-Date", "20151229T000001Z", MEDIA_POST_POLICY_DENIED },
        { "X-Amz-Date", "20151230T000000Z", MEDIA_SIGV4_BAD_SCOPE },
        { "X-Amz-Credential", "OTHER/20151229/us-east-1/s3/aws4_request",
          MEDIA_SIGV4_BAD_KEY },
        { "X-Amz-Credential", "AKIAIOSFODNN7EXAMPLE/20151229/eu-west-1/s3/"
          "aws4_request", MEDIA_SIGV4_BAD_SCOPE },
        { "X-Amz-Credential", "AKIAIOSFODNN7EXAMPLE", MEDIA_SIGV4_BAD_KEY },
        { "policy", "", MEDIA_SIGV4_MALFORMED },
        { "policy", "e30=", MEDIA_SIGV4_MISMATCH },
    };
    static const char  *added[] = { "x-amz-meta-more", "key", "bucket",
                                    "success_action_status" };

    for (i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        set_example();
        field(changes[i].name)->value = str(changes[i].value);
        rc = verify("sigv4examplebucket", EXAMPLE_NOW);
        ok(rc == changes[i].rc, "%s \"%s\": %d", changes[i].name,
           changes[i].value, rc);
    }

    for (i = 0; i < sizeof(added) / sizeof(added[0]); i++) {
        set_example();
        add(added[i], "x");
        rc = verify("sigv4examplebucket", EXAMPLE_NOW);
        ok(rc == MEDIA_POST_POLICY_DENIED, "added %s: %d", added[i], rc);
    }

    set_example();
    add("X-Ignore-This", "x");
    rc = verify("sigv4examplebucket", EXAMPLE_NOW);
    ok(rc == MEDIA_OK, "x-ignore-: %d", rc);

    /* each field is needed */

    set_example();

    for (i = nfields - 1; i >= 5; i--) {
        nfields = i;
        rc = verify("sigv4examplebucket", EXAMPLE_NOW);
        ok(rc == MEDIA_POST_POLICY_DENIED, "without %s: %d",
           fields[i].name.data, rc);
    }

    nfields = 0;
    rc = verify("sigv4examplebucket", EXAMPLE_NOW);
    ok(rc == MEDIA_SIGV4_MISSING, "no field: %d", rc);

    set_example();

    while (nfields <= MEDIA_POST_POLICY_FIELDS) {
        add("x-ignore-", "x");
    }

    rc = verify("sigv4examplebucket", EXAMPLE_NOW);
    ok(rc == MEDIA_POST_POLICY_DENIED, "too many fields: %d", rc);
}


#define HEAD  "{\"expiration\":\"2015-12-30T12:00:00Z\",\"conditions\":["
#define REST  "{\"bucket\":\"b\",\"key\":\"k\",\"x-amz-algorithm\":"          \
    "\"AWS4-HMAC-SHA256\"},[\"starts-with\",\"$x-amz-credential\",\"\"],"     \
    "[\"eq\",\"$x-amz-date\",\"20151229T000000Z\"]]}"


static void
test_documents(void)
{
    int     rc;
    size_t  i;

    static const struct {
        const char  *json;
        int          rc;
        int64_t      min;
        int64_t      max;
    } documents[] = {
        { HEAD REST, MEDIA_OK, 0, -1 },
        { HEAD "[\"content-length-range\", 1, 10]," REST, MEDIA_OK, 1, 10 },
        { HEAD "[\"content-length-range\", \"1\", \"10\"]," REST, MEDIA_OK,
          1, 10 },
        { HEAD "[\"content-length-range\", 1, 10],"
          "[\"content-length-range\", 3, 30]," REST, MEDIA_OK, 3, 10 },
        { HEAD "[\"content-length-range\", 1, 0]," REST,
          MEDIA_POST_POLICY_DENIED, 0, 0 },
        { HEAD "[\"content-length-range\", 1, 10],"
          "[\"content-length-range\", 11, 30]," REST,
          MEDIA_POST_POLICY_DENIED, 0, 0 },
        { HEAD "[\"content-length-range\", -1, 10]," REST,
          MEDIA_SIGV4_MALFORMED, 0, 0 },
        { HEAD "[\"content-length-range\", 1.5, 10]," REST,
          MEDIA_SIGV4_MALFORMED, 0, 0 },
        { HEAD "[\"content-length-range\", 1]," REST, MEDIA_SIGV4_MALFORMED,
          0, 0 },
        { HEAD "[\"content-length-range\", 1, 2, 3]," REST,
          MEDIA_SIGV4_MALFORMED, 0, 0 },
        { HEAD "[\"content-length-range\", 1, 9999999999999999999]," REST,
          MEDIA_SIGV4_MALFORMED, 0, 0 },
        { HEAD "[]," REST, MEDIA_SIGV4_MALFORMED, 0, 0 },
        { HEAD "{}," REST, MEDIA_OK, 0, -1 },
        { HEAD "[\"ends-with\",\"$key\",\"k\"]," REST, MEDIA_SIGV4_MALFORMED,
          0, 0 },
        { HEAD "[\"eq\",\"key\",\"k\"]," REST, MEDIA_SIGV4_MALFORMED, 0, 0 },
        { HEAD "[\"eq\",\"$key\"]," REST, MEDIA_SIGV4_MALFORMED, 0, 0 },
        { HEAD "[\"eq\",\"$key\",\"k\",\"\"]," REST, MEDIA_SIGV4_MALFORMED,
          0, 0 },
        { HEAD "[\"eq\",\"$KEY\",\"k\"]," REST, MEDIA_OK, 0, -1 },
        { HEAD "[\"eq\",\"$key\",1]," REST, MEDIA_SIGV4_MALFORMED, 0, 0 },
        { HEAD "[[\"eq\",\"$key\",\"k\"]]," REST, MEDIA_SIGV4_MALFORMED,
          0, 0 },
        { HEAD "{\"key\":1}," REST, MEDIA_SIGV4_MALFORMED, 0, 0 },
        { HEAD "{\"key\":null}," REST, MEDIA_SIGV4_MALFORMED, 0, 0 },
        { HEAD "\"key\"," REST, MEDIA_SIGV4_MALFORMED, 0, 0 },
        { HEAD "true," REST, MEDIA_SIGV4_MALFORMED, 0, 0 },
        { HEAD "{\"key\":\"other\"}," REST, MEDIA_POST_POLICY_DENIED, 0, 0 },
        { "{\"conditions\":[" REST, MEDIA_SIGV4_MALFORMED, 0, 0 },
        { "{\"expiration\":\"2015-12-30T12:00:00Z\","
          "\"expiration\":\"2015-12-31T12:00:00Z\",\"conditions\":[" REST,
          MEDIA_SIGV4_MALFORMED, 0, 0 },
        { "{\"expiration\":\"2015-13-30T12:00:00Z\",\"conditions\":[" REST,
          MEDIA_SIGV4_MALFORMED, 0, 0 },
        { "{\"expiration\":\"2015-12-30T12:00:00.Z\",\"conditions\":["
          REST, MEDIA_SIGV4_MALFORMED, 0, 0 },
        { "{\"expiration\":\"2015-12-30T12:00:00.0.0Z\",\"conditions\":["
          REST, MEDIA_SIGV4_MALFORMED, 0, 0 },
        { "{\"expiration\":\"2015-12-30T12:00:000Z\",\"conditions\":["
          REST, MEDIA_SIGV4_MALFORMED, 0, 0 },
        { "{\"expiration\":\"2015-12-30\",\"conditions\":[" REST,
          MEDIA_SIGV4_MALFORMED, 0, 0 },
        { "{\"expiration\":1451480400,\"conditions\":[" REST,
          MEDIA_SIGV4_MALFORMED, 0, 0 },
        { "{\"expiration\":\"2015-12-28T12:00:00.000Z\",\"conditions\":["
          REST, MEDIA_SIGV4_EXPIRED, 0, 0 },
        { "{\"expiration\":\"2015-12-30T12:00:00Z\"}",
          MEDIA_POST_POLICY_DENIED, 0, 0 },
        { "{\"expiration\":\"2015-12-30T12:00:00Z\",\"conditions\":["
          "{\"key\":\"k\"},[\"starts-with\",\"$x-amz-credential\",\"\"],"
          "[\"starts-with\",\"$x-amz-algorithm\",\"\"],"
          "[\"starts-with\",\"$x-amz-date\",\"\"]]}",
          MEDIA_POST_POLICY_DENIED, 0, 0 },
        { "[]", MEDIA_SIGV4_MALFORMED, 0, 0 },
        { "{}", MEDIA_SIGV4_MALFORMED, 0, 0 },
        { "", MEDIA_SIGV4_MALFORMED, 0, 0 },
        { HEAD, MEDIA_SIGV4_MALFORMED, 0, 0 },
        { HEAD REST "x", MEDIA_SIGV4_MALFORMED, 0, 0 },
    };

    for (i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
        set_document(documents[i].json, strlen(documents[i].json));
        add("key", "k");
        rc = verify("b", EXAMPLE_NOW);

        ok(rc == documents[i].rc
           && (rc != MEDIA_OK || (min == documents[i].min
                                  && max == documents[i].max)),
           "%s: %d, %d, %d", documents[i].json, rc, (int) min, (int) max);
    }
}


/* nothing that differs from what was signed is as good */

static void
test_fuzz(void)
{
    int       rc, taken, malformed;
    char      json[sizeof(HEAD REST)];
    size_t    i, len;
    uint64_t  state;

    state = 20261121;
    taken = 0;
    malformed = 0;

    for (i = 0; i < FUZZ_RUNS; i++) {
        memcpy(json, HEAD REST, sizeof(json));
        len = sizeof(json) - 1 - test_random(&state) % 2;
        json[test_random(&state) % len] = (char) test_random(&state);

        set_document(json, len);
        add("key", "k");
        rc = verify("b", EXAMPLE_NOW);

        taken += rc == MEDIA_OK;
        malformed += rc == MEDIA_SIGV4_MALFORMED;
    }

    ok(malformed > FUZZ_RUNS / 2 && taken < FUZZ_RUNS / 5,
       "%d taken, %d malformed", taken, malformed);
}


int
main(void)
{
    test_example();
    test_own();
    test_conditions();
    test_documents();
    test_fuzz();

    return test_done();
}
