/*
 * Copyright (C) ngx_media contributors
 *
 * Bodies of S3 clients in aws-chunked form.  The first line of the input is
 * the decoded length; the body comes to the same however it is cut, and
 * chunks that we did not sign are refused where they have to be signed.
 */

#include <openssl/evp.h>

#include "fuzz.h"
#include "stub.h"

#include "ngx_http_media.h"


typedef struct {
    ngx_http_media_store_error_e  error;
    uint64_t                      sum;
    unsigned                      finished;
} result_t;


static result_t  result;


static void on_finish(ngx_http_media_store_job_t *job);


static EVP_MD_CTX *
digest(const EVP_MD *type)
{
    EVP_MD_CTX  *md;

    md = EVP_MD_CTX_new();
    fuzz_check(md != NULL && EVP_DigestInit_ex(md, type, NULL) == 1);

    return md;
}


static void
run(fuzz_cut_t cut, ngx_http_media_store_body_e form, off_t declared,
    media_str_t body)
{
    char                           *copy;
    size_t                          n, done;
    uint64_t                        seed;
    ngx_http_media_store_job_t      job;
    ngx_http_media_store_upload_t   up;

    memset(&result, 0, sizeof(result));
    memset(&job, 0, sizeof(job));
    memset(&up, 0, sizeof(up));

    result.sum = seed = FUZZ_SUM;

    job.finish = on_finish;
    job.upload = &up;
    up.form = form;
    up.declared = declared;
    up.in_memory = 1;
    up.md5 = digest(EVP_md5());
    ngx_str_set(&up.checksum_name, "crc32");
    media_crc_init(&up.crc, MEDIA_CRC32);

    if (form != NGX_HTTP_MEDIA_STORE_CHUNKED) {
        up.chunk = digest(EVP_sha256());
        memset(up.key, 'k', sizeof(up.key));
        memset(up.signature, '0', sizeof(up.signature));
        ngx_str_set(&up.date, "20130524T000000Z");
        ngx_str_set(&up.scope, "20130524/us-east-1/s3/aws4_request");
    }

    done = 0;

    do {
        n = body.len == 0 ? 0
            : fuzz_piece(cut, &seed, (const uint8_t *) body.data + done,
                         body.len - done);

        copy = fuzz_copy(body.data + done, n);
        done += n;
        job.buffer = (u_char *) copy;
        job.buffered = n;
        job.last = done == body.len;

        ngx_http_media_store_body_work(&job);
        free(copy);

    } while (job.error == NGX_HTTP_MEDIA_STORE_OK && !job.last);

    result.error = job.error;

    EVP_MD_CTX_free(up.md5);
    EVP_MD_CTX_free(up.chunk);
    stub_free();
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    off_t                         declared;
    size_t                        i;
    result_t                      whole;
    fuzz_cut_t                    cut;
    media_str_t                   body, line;
    ngx_http_media_store_body_e   form;

    media_str_set(&body, (const char *) data, size);
    line = fuzz_cut(&body, '\n');
    declared = 0;

    for (i = 0; i < line.len && i < 9; i++) {
        declared = declared * 10 + (line.data[i] & 0x0f) % 10;
    }

    for (form = NGX_HTTP_MEDIA_STORE_CHUNKED;
         form <= NGX_HTTP_MEDIA_STORE_SIGNED_TRAILER; form++)
    {
        run(FUZZ_WHOLE, form, declared, body);
        whole = result;

        fuzz_check(whole.finished
                   == (whole.error == NGX_HTTP_MEDIA_STORE_OK));
        fuzz_check(!whole.finished || form == NGX_HTTP_MEDIA_STORE_CHUNKED);

        for (cut = FUZZ_BYTES; cut < FUZZ_CUTS; cut++) {
            run(cut, form, declared, body);
            fuzz_check(result.error == whole.error);
            fuzz_check(result.sum == whole.sum);
        }
    }

    return 0;
}


static void
on_finish(ngx_http_media_store_job_t *job)
{
    result.finished = 1;

    fuzz_check(job->text.last - job->text.start == job->upload->declared);
    fuzz_bytes(&result.sum, job->text.start,
               (size_t) job->upload->declared);
    fuzz_bytes(&result.sum, job->etag.data, job->etag.len);
}
