/*
 * Copyright (C) ngx_media contributors
 *
 * media_store: an S3 subset served from a directory.  Types shared by the
 * ngx_http_media_store_*.c files.
 *
 * Every request that touches a file is one job.  Its work() runs in a thread
 * and sees nothing of the request; its done() runs in the event loop.
 */

#ifndef _NGX_HTTP_MEDIA_STORE_H_INCLUDED_
#define _NGX_HTTP_MEDIA_STORE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <openssl/evp.h>

#include "media_codec.h"
#include "media_crc.h"
#include "media_sigv4.h"


#define NGX_HTTP_MEDIA_STORE_KEY_MAX     1024   /* bytes; S3's limit */
#define NGX_HTTP_MEDIA_STORE_PATH_MAX    512    /* of the root directory */
#define NGX_HTTP_MEDIA_STORE_BUFFER      65536  /* body bytes of one write */
#define NGX_HTTP_MEDIA_STORE_LINE_MAX    1024   /* aws-chunked line */
#define NGX_HTTP_MEDIA_STORE_XML_MAX     4194304    /* XML request body */
#define NGX_HTTP_MEDIA_STORE_META_MAX    16384  /* kept headers of an object */
#define NGX_HTTP_MEDIA_STORE_LIST_MAX    1000   /* keys of one page */


typedef enum {
    NGX_HTTP_MEDIA_STORE_OK = 0,
    NGX_HTTP_MEDIA_STORE_ACCESS_DENIED,
    NGX_HTTP_MEDIA_STORE_EXPIRED,
    NGX_HTTP_MEDIA_STORE_UNSIGNED_HEADER,
    NGX_HTTP_MEDIA_STORE_AUTH_MALFORMED,
    NGX_HTTP_MEDIA_STORE_AUTH_QUERY,
    NGX_HTTP_MEDIA_STORE_BAD_SCOPE,
    NGX_HTTP_MEDIA_STORE_BAD_DIGEST,
    NGX_HTTP_MEDIA_STORE_BUCKET_EXISTS,
    NGX_HTTP_MEDIA_STORE_BUCKET_NOT_EMPTY,
    NGX_HTTP_MEDIA_STORE_TOO_LARGE,
    NGX_HTTP_MEDIA_STORE_TOO_SMALL,
    NGX_HTTP_MEDIA_STORE_INCOMPLETE_BODY,
    NGX_HTTP_MEDIA_STORE_INTERNAL,
    NGX_HTTP_MEDIA_STORE_BAD_KEY_ID,
    NGX_HTTP_MEDIA_STORE_INVALID_ARGUMENT,
    NGX_HTTP_MEDIA_STORE_INVALID_BUCKET,
    NGX_HTTP_MEDIA_STORE_INVALID_DIGEST,
    NGX_HTTP_MEDIA_STORE_INVALID_PART,
    NGX_HTTP_MEDIA_STORE_INVALID_PART_ORDER,
    NGX_HTTP_MEDIA_STORE_INVALID_RANGE,
    NGX_HTTP_MEDIA_STORE_INVALID_REQUEST,
    NGX_HTTP_MEDIA_STORE_INVALID_URI,
    NGX_HTTP_MEDIA_STORE_KEY_TOO_LONG,
    NGX_HTTP_MEDIA_STORE_MALFORMED_POST,
    NGX_HTTP_MEDIA_STORE_MALFORMED_XML,
    NGX_HTTP_MEDIA_STORE_META_TOO_LARGE,
    NGX_HTTP_MEDIA_STORE_METHOD,
    NGX_HTTP_MEDIA_STORE_NO_LENGTH,
    NGX_HTTP_MEDIA_STORE_NO_BUCKET,
    NGX_HTTP_MEDIA_STORE_NO_FILE,
    NGX_HTTP_MEDIA_STORE_NO_KEY,
    NGX_HTTP_MEDIA_STORE_NO_POST_KEY,
    NGX_HTTP_MEDIA_STORE_NO_UPLOAD,
    NGX_HTTP_MEDIA_STORE_NOT_IMPLEMENTED,
    NGX_HTTP_MEDIA_STORE_BAD_POLICY,
    NGX_HTTP_MEDIA_STORE_POLICY_EXPIRED,
    NGX_HTTP_MEDIA_STORE_POLICY_FAILED,
    NGX_HTTP_MEDIA_STORE_POST_TOO_LARGE,
    NGX_HTTP_MEDIA_STORE_PRECONDITION,
    NGX_HTTP_MEDIA_STORE_SKEWED,
    NGX_HTTP_MEDIA_STORE_MISMATCH,
    NGX_HTTP_MEDIA_STORE_SLOW_DOWN,
    NGX_HTTP_MEDIA_STORE_SHA256_MISMATCH
} ngx_http_media_store_error_e;


/* how the body of a request is laid out, from x-amz-content-sha256 */
typedef enum {
    NGX_HTTP_MEDIA_STORE_PLAIN = 0,
    NGX_HTTP_MEDIA_STORE_CHUNKED,       /* aws-chunked, unsigned, trailer */
    NGX_HTTP_MEDIA_STORE_SIGNED,        /* aws-chunked, each chunk signed */
    NGX_HTTP_MEDIA_STORE_SIGNED_TRAILER
} ngx_http_media_store_body_e;


/* every location with media_store; both structures come zeroed */
typedef struct {
    ngx_array_t                      stores;    /* of pointers to loc confs */
} ngx_http_media_store_main_conf_t;


typedef struct {
    ngx_str_t                        path;  /* no slash at the end */
    ngx_str_t                        access_key;
    ngx_str_t                        access_key_file;
    ngx_str_t                        secret_key;
    ngx_str_t                        secret_key_file;
    ngx_str_t                        region;
    ngx_int_t                        request_id;    /* variable's index */
#if (NGX_THREADS)
    ngx_thread_pool_t               *thread_pool;
#endif
} ngx_http_media_store_loc_conf_t;


typedef struct ngx_http_media_store_job_s  ngx_http_media_store_job_t;
typedef struct ngx_http_media_store_post_s  ngx_http_media_store_post_t;
typedef ngx_http_media_store_job_t  ngx_http_media_store_ctx_t;

typedef void (*ngx_http_media_store_pt)(ngx_http_media_store_job_t *job);


/* text that grows in the job's pool */
typedef struct {
    u_char                          *start;
    u_char                          *last;
    u_char                          *end;
    ngx_pool_t                      *pool;
    unsigned                         failed:1;      /* out of memory */
} ngx_http_media_store_text_t;


/* what an object's file tells besides its body */
typedef struct {
    ngx_fd_t                         fd;
    off_t                            size;  /* of the body */
    time_t                           mtime;
    ngx_str_t                        etag;  /* no quotes */
    ngx_str_t                        lines; /* "Name: value\n" ... */
} ngx_http_media_store_object_t;


/* the body as it arrives: decoded, hashed and written */
typedef struct {
    ngx_http_media_store_body_e      form;
    ngx_uint_t                       state; /* of the aws-chunked parser */
    off_t                            rest;  /* bytes left in the chunk */
    off_t                            size;  /* decoded bytes so far */
    off_t                            declared;  /* decoded length, or -1 */
    u_char                           line[NGX_HTTP_MEDIA_STORE_LINE_MAX];
    size_t                           line_len;

    ngx_http_media_store_post_t     *post;  /* NULL: no form */

    EVP_MD_CTX                      *md5;
    EVP_MD_CTX                      *sha256;    /* of the body, or NULL */
    EVP_MD_CTX                      *chunk;     /* of a chunk, or NULL */
    EVP_MD_CTX                      *digest;    /* x-amz-checksum-sha*, or
                                                   NULL */
    media_crc_t                      crc;       /* x-amz-checksum-crc* */
    u_char                           md5_sum[16];

    ngx_str_t                        payload_hash;  /* hex; empty: unsigned */
    ngx_str_t                        content_md5;   /* base64, may be empty */
    ngx_str_t                        checksum_name; /* "crc32"; may be empty */
    ngx_str_t                        checksum;      /* base64, as declared */

    /* signed chunks */
    u_char                           key[32];
    u_char                           signature[64];     /* the one before */
    u_char                           expected[64];      /* of this chunk */
    ngx_str_t                        date;
    ngx_str_t                        scope;

    unsigned                         in_memory:1;   /* to text, not a file */
    unsigned                         trailer_signed:1;
} ngx_http_media_store_upload_t;


struct ngx_http_media_store_job_s {
    ngx_http_request_t              *request;   /* NULL once it has ended */
    ngx_pool_t                      *pool;
    ngx_http_media_store_loc_conf_t *conf;

    ngx_http_media_store_pt          work;
    ngx_http_media_store_pt          finish;    /* work, once the body ended */
    ngx_http_media_store_pt          done;

    ngx_http_media_store_error_e     error;
    ngx_err_t                        err;       /* of the failed call */
    const char                      *call;      /* its name, or NULL */

    ngx_str_t                        bucket;
    ngx_str_t                        key;
    ngx_array_t                      args;      /* ngx_keyval_t, decoded */

    ngx_str_t                        bucket_path;
    ngx_str_t                        path;      /* of the object */

    ngx_uint_t                       status;    /* of a good answer */
    ngx_http_media_store_text_t      text;      /* its XML, or XML read */
    ngx_str_t                        etag;      /* answered, no quotes */
    ngx_http_media_store_object_t    object;

    /* an object being written */
    ngx_http_media_store_upload_t   *upload;    /* NULL without a body */
    ngx_fd_t                         fd;
    ngx_str_t                        temp;      /* empty: no file */
    ngx_str_t                        lines;     /* headers to keep */
    ngx_str_t                        if_match;
    ngx_str_t                        if_none_match;
    ngx_http_media_store_object_t    source;    /* of a copy */
    ngx_str_t                        source_path;
    ngx_str_t                        source_match;
    ngx_str_t                        source_none_match;
    time_t                           source_modified;       /* or -1 */
    time_t                           source_unmodified;     /* or -1 */

    u_char                          *buffer;    /* body bytes for work() */
    size_t                           buffered;

#if (NGX_THREADS)
    ngx_thread_task_t               *task;
#endif
    ngx_event_t                      event;     /* if there is no pool */

    unsigned                         running:1; /* work() owns the job */
    unsigned                         orphan:1;  /* the request is freed */
    unsigned                         last:1;    /* the buffer ends the body */
    unsigned                         replace:1; /* a copy takes lines */
};


/* entries of the command table, each with its comma */
#define NGX_HTTP_MEDIA_STORE_COMMANDS                                         \
                                                                              \
    { ngx_string("media_store"),                                              \
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,                                       \
      ngx_http_media_store,                                                   \
      NGX_HTTP_LOC_CONF_OFFSET,                                               \
      offsetof(ngx_http_media_loc_conf_t, store.path),                        \
      NULL },                                                                 \
                                                                              \
    { ngx_string("media_store_access_key"),                                   \
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,  \
      ngx_conf_set_str_slot,                                                  \
      NGX_HTTP_LOC_CONF_OFFSET,                                               \
      offsetof(ngx_http_media_loc_conf_t, store.access_key),                  \
      NULL },                                                                 \
                                                                              \
    { ngx_string("media_store_access_key_file"),                              \
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,  \
      ngx_conf_set_str_slot,                                                  \
      NGX_HTTP_LOC_CONF_OFFSET,                                               \
      offsetof(ngx_http_media_loc_conf_t, store.access_key_file),             \
      NULL },                                                                 \
                                                                              \
    { ngx_string("media_store_region"),                                       \
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,  \
      ngx_conf_set_str_slot,                                                  \
      NGX_HTTP_LOC_CONF_OFFSET,                                               \
      offsetof(ngx_http_media_loc_conf_t, store.region),                      \
      NULL },                                                                 \
                                                                              \
    { ngx_string("media_store_secret_key"),                                   \
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,  \
      ngx_conf_set_str_slot,                                                  \
      NGX_HTTP_LOC_CONF_OFFSET,                                               \
      offsetof(ngx_http_media_loc_conf_t, store.secret_key),                  \
      NULL },                                                                 \
                                                                              \
    { ngx_string("media_store_secret_key_file"),                              \
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,  \
      ngx_conf_set_str_slot,                                                  \
      NGX_HTTP_LOC_CONF_OFFSET,                                               \
      offsetof(ngx_http_media_loc_conf_t, store.secret_key_file),             \
      NULL },


/* ngx_http_media_store.c: configuration, authentication, routing */

char *ngx_http_media_store(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

char *ngx_http_media_store_init_main(ngx_conf_t *cf,
    ngx_http_media_store_main_conf_t *mcf);
/* the structures come zeroed: no create */
char *ngx_http_media_store_merge_loc(ngx_conf_t *cf,
    ngx_http_media_store_loc_conf_t *prev,
    ngx_http_media_store_loc_conf_t *conf);
ngx_int_t ngx_http_media_store_init_process(ngx_cycle_t *cycle);

/* what verifies a request; the key is not made yet */
void ngx_http_media_store_cred(ngx_http_media_store_loc_conf_t *slcf,
    media_sigv4_cred_t *cred);
/* the error that a MEDIA_SIGV4_* code stands for, but _MALFORMED */
ngx_http_media_store_error_e ngx_http_media_store_sigv4_error(int rc);

void ngx_http_media_store_request_id(ngx_http_request_t *r, ngx_str_t *id);


/* ngx_http_media_store_job.c */

/* NULL if out of memory; lives as long as the request, or its running work */
ngx_http_media_store_job_t *ngx_http_media_store_job_create(
    ngx_http_request_t *r, ngx_http_media_store_loc_conf_t *conf);

/*
 * Runs job->work in a thread, then job->done in the event loop unless the
 * request has ended.  Returns NGX_OK, or NGX_BUSY if the pool's queue is full.
 */
ngx_int_t ngx_http_media_store_job_post(ngx_http_media_store_job_t *job);

/* Records the error, errno and the name of the failed call. */
void ngx_http_media_store_job_failed(ngx_http_media_store_job_t *job,
    const char *call);

/* Starts the job for a request without a body; what a handler returns. */
ngx_int_t ngx_http_media_store_start(ngx_http_media_store_job_t *job);

/* Sends the answer or the error that the job holds and ends the request. */
void ngx_http_media_store_finish(ngx_http_media_store_job_t *job);

/* 1 if the query has the argument; value may be NULL */
ngx_uint_t ngx_http_media_store_arg(ngx_http_media_store_job_t *job,
    const char *name, ngx_str_t *value);



/* ngx_http_media_store_path.c: keys and the files that hold them */

ngx_uint_t ngx_http_media_store_bucket_valid(ngx_str_t *bucket);
ngx_http_media_store_error_e ngx_http_media_store_key_check(ngx_str_t *key);

/*
 * The path of a key's file, zero-terminated, and in *dir (unless NULL) the
 * length of its directory part with the slash.  Returns NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_media_store_key_path(ngx_pool_t *pool, ngx_str_t *bucket,
    ngx_str_t *key, ngx_str_t *path, size_t *dir);

/*
 * Reads a directory entry's name back into the bytes that it adds to a key;
 * dst holds at least strlen(name) bytes.  Returns their number and sets *leaf
 * for an object, or NGX_ERROR for a file that is not the store's.
 */
ssize_t ngx_http_media_store_name_decode(u_char *dst, const char *name,
    ngx_uint_t *leaf);

ngx_int_t ngx_http_media_store_root_path(ngx_http_media_store_job_t *job,
    const char *name, ngx_str_t *path);
ngx_int_t ngx_http_media_store_sync_dir(const char *path);
ngx_int_t ngx_http_media_store_sync_parent(u_char *path);

/*
 * Moves the finished temporary file to its place; exclusive: only if nothing
 * is there.  Sets job->error.
 */
void ngx_http_media_store_publish(ngx_http_media_store_job_t *job,
    ngx_uint_t exclusive);

/* Removes an object's file and the directories it leaves empty. */
ngx_int_t ngx_http_media_store_unlink(ngx_str_t *bucket_path,
    ngx_str_t *path);


/* ngx_http_media_store_file.c: the object's file */

/* NGX_OK, or NGX_DECLINED if there is none, or NGX_ERROR with errno set */
ngx_int_t ngx_http_media_store_file_open(ngx_pool_t *pool, ngx_str_t *path,
    ngx_http_media_store_object_t *object);
void ngx_http_media_store_file_close(ngx_http_media_store_object_t *object);

/* A temporary file in the store, at job->fd.  Sets job->error. */
ngx_int_t ngx_http_media_store_temp_open(ngx_http_media_store_job_t *job);
/* Removes what a killed process left.  Called when a worker starts. */
void ngx_http_media_store_sweep(ngx_http_media_store_loc_conf_t *conf,
    ngx_log_t *log);
void ngx_http_media_store_temp_discard(ngx_http_media_store_job_t *job);
ngx_int_t ngx_http_media_store_write(ngx_fd_t fd, const u_char *p, size_t n);
ngx_int_t ngx_http_media_store_copy(ngx_fd_t dst, ngx_fd_t src, off_t size);

/* Appends the metadata to job->fd and makes the file durable. */
ngx_int_t ngx_http_media_store_file_finish(ngx_http_media_store_job_t *job,
    off_t size);

/* The next line of an object's metadata; 0 at the end. */
ngx_uint_t ngx_http_media_store_next_line(ngx_str_t *lines, ngx_str_t *name,
    ngx_str_t *value);

/* 1 if an If-Match style list names the etag, or is "*" */
ngx_uint_t ngx_http_media_store_etag_match(ngx_str_t *list, ngx_str_t *etag);


/* ngx_http_media_store_body.c: the request body as it arrives */

/* What a body needs, of which nothing is known yet.  Sets job->error. */
ngx_int_t ngx_http_media_store_body_create(ngx_http_media_store_job_t *job,
    ngx_http_request_t *r);

/* Reads the headers that describe the body.  Sets job->error. */
ngx_int_t ngx_http_media_store_body_init(ngx_http_media_store_job_t *job,
    ngx_http_request_t *r, media_sigv4_cred_t *cred);

/* Reads the body, then job->finish and job->done; what a handler returns. */
ngx_int_t ngx_http_media_store_body_read(ngx_http_media_store_job_t *job);
void ngx_http_media_store_body_free(ngx_http_media_store_upload_t *up);


/* ngx_http_media_store_chunk.c: decoding and hashing, in a thread */

/* work() of a job with a body: takes job->buffer */
void ngx_http_media_store_body_work(ngx_http_media_store_job_t *job);

/* The temporary file, if the bucket exists.  Sets job->error. */
ngx_int_t ngx_http_media_store_body_open(ngx_http_media_store_job_t *job);
/* bytes of the object; sets job->error */
void ngx_http_media_store_body_data(ngx_http_media_store_job_t *job,
    u_char *p, size_t n);


/* ngx_http_media_store_post.c: objects posted by HTML forms */

/* 1 if a request is such a form, which its policy authenticates */
ngx_uint_t ngx_http_media_store_post_form(ngx_http_request_t *r);
/* what a handler returns */
ngx_int_t ngx_http_media_store_post(ngx_http_media_store_job_t *job);
/* in a thread: takes job->buffer */
void ngx_http_media_store_post_data(ngx_http_media_store_job_t *job);


/* operations */

ngx_int_t ngx_http_media_store_get(ngx_http_media_store_job_t *job);
ngx_int_t ngx_http_media_store_put(ngx_http_media_store_job_t *job);
/* in a thread, once the body is whole: makes it the object */
void ngx_http_media_store_put_work(ngx_http_media_store_job_t *job);
ngx_int_t ngx_http_media_store_delete(ngx_http_media_store_job_t *job);
ngx_int_t ngx_http_media_store_delete_many(ngx_http_media_store_job_t *job);

/* 1 if an object keeps a header; *name is then as it is stored */
ngx_uint_t ngx_http_media_store_kept(ngx_str_t *name);
/* the headers that an object keeps, to job->lines; NGX_OK or job->error */
ngx_int_t ngx_http_media_store_keep_headers(ngx_http_media_store_job_t *job,
    ngx_http_request_t *r);

/* the source of a copy; NGX_OK or job->error */
ngx_int_t ngx_http_media_store_copy_source(ngx_http_media_store_job_t *job,
    ngx_http_request_t *r);
/* in a thread: opens it and checks its conditions; sets job->error */
void ngx_http_media_store_copy_open(ngx_http_media_store_job_t *job);
ngx_int_t ngx_http_media_store_service(ngx_http_media_store_job_t *job);
ngx_int_t ngx_http_media_store_bucket(ngx_http_media_store_job_t *job);
ngx_int_t ngx_http_media_store_list(ngx_http_media_store_job_t *job);
ngx_int_t ngx_http_media_store_multipart(ngx_http_media_store_job_t *job);


/* ngx_http_media_store_xml.c */

ngx_int_t ngx_http_media_store_send_error(ngx_http_request_t *r,
    ngx_http_media_store_error_e error);
ngx_int_t ngx_http_media_store_send_text(ngx_http_request_t *r,
    ngx_uint_t status, ngx_str_t *xml);
const char *ngx_http_media_store_error_code(
    ngx_http_media_store_error_e error);

void ngx_http_media_store_text(ngx_http_media_store_text_t *t,
    const void *data, size_t len);
void ngx_http_media_store_puts(ngx_http_media_store_text_t *t,
    const char *s);
void ngx_http_media_store_xml(ngx_http_media_store_text_t *t,
    const char *name, ngx_str_t *value);
void ngx_http_media_store_xml_url(ngx_http_media_store_text_t *t,
    const char *name, ngx_str_t *value);
void ngx_http_media_store_xml_time(ngx_http_media_store_text_t *t,
    const char *name, time_t value);
void ngx_http_media_store_xml_number(ngx_http_media_store_text_t *t,
    const char *name, off_t value);

/*
 * Finds the next <name>...</name> in *in, moves *in behind it and gives what
 * is inside.  NGX_OK, NGX_DECLINED if there is none, NGX_ERROR if it does not
 * end.
 */
ngx_int_t ngx_http_media_store_xml_next(ngx_str_t *in, const char *name,
    ngx_str_t *inner);
/* Resolves references in place.  NGX_OK or NGX_ERROR. */
ngx_int_t ngx_http_media_store_xml_unescape(ngx_str_t *s);


#endif /* _NGX_HTTP_MEDIA_STORE_H_INCLUDED_ */
