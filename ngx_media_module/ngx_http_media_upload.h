/*
 * Copyright (C) ngx_media contributors
 *
 * Files from browsers, and messages to customers: the endpoints that sign,
 * check and publish jobs.  Included by ngx_http_media.h.
 */

#ifndef NGX_HTTP_MEDIA_UPLOAD_H
#define NGX_HTTP_MEDIA_UPLOAD_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_media_job.h"
#include "ngx_http_media_json.h"

#include "media_mime.h"
#include "media_upload.h"


typedef struct ngx_http_media_upload_ctx_s  ngx_http_media_upload_ctx_t;
typedef struct ngx_http_media_upload_body_s  ngx_http_media_upload_body_t;


/* which endpoint a location is; not inherited */
typedef enum {
    NGX_HTTP_MEDIA_API_NONE = 0,
    NGX_HTTP_MEDIA_API_URL,             /* media_upload_url ... */
    NGX_HTTP_MEDIA_API_COMPLETE,
    NGX_HTTP_MEDIA_API_PARTS,
    NGX_HTTP_MEDIA_API_UPLOAD,          /* media_upload */
    NGX_HTTP_MEDIA_API_SEND
} ngx_http_media_api_e;


typedef struct {
    ngx_uint_t                      api;
    time_t                          url_ttl;
    ngx_str_t                       public_endpoint;    /* S3 as browsers see
                                                   it */
    ngx_str_t                       prefix;     /* of the internal location;
                                                   empty: none */
    size_t                          part_size;
    ngx_str_t                       types[MEDIA_CATEGORY_MAX];
                                                /* space separated; data NULL:
                                                   the category's default */
    off_t                           sizes[MEDIA_CATEGORY_MAX];
                                                /* NGX_CONF_UNSET: the same */
    ngx_http_complex_value_t       *conversation;   /* of media_send; NULL */

    /* precomputed by merge, in a location with an api */
    ngx_str_t                       host;       /* signed; endpoint's */
    media_mime_policy_t            *policy;
} ngx_http_media_upload_loc_conf_t;


/* S3's answer to a subrequest */
typedef struct {
    ngx_uint_t                      status;     /* 502 or 504: none came */
    off_t                           length;     /* -1: not known */
    ngx_str_t                       type;
    ngx_str_t                       etag;       /* with quotes; may be empty */
    ngx_str_t                       body;
    size_t                          size;       /* that body may grow to */
    unsigned                        failed:1;   /* too long, or no memory */
} ngx_http_media_upload_answer_t;

typedef void (*ngx_http_media_upload_answer_pt)(ngx_http_request_t *r,
    ngx_http_media_upload_answer_t *answer);


struct ngx_http_media_upload_ctx_s {
    ngx_http_client_body_handler_pt  read;      /* has the body's fields */
    ngx_array_t                    *fields;     /* ngx_http_media_field_t */
    ngx_http_media_upload_body_t   *body;       /* NULL: is not read, or not
                                                   by media_upload */
    ngx_str_t                       refusal;    /* why it was not read on */
    media_upload_t                  upload;
    ngx_str_t                       claims;     /* JSON */
    ngx_str_t                       token;
    ngx_str_t                       idempotency_key;
    ngx_str_t                       reply_to;
    ngx_str_t                       etag;
    ngx_http_media_upload_answer_t  answer;
    ngx_http_media_upload_answer_pt  answered_by;
    ngx_uint_t                      step;       /* of the endpoint's own */
    unsigned                        waiting:1;  /* for S3 */
    unsigned                        form:1;     /* a POST policy is asked */
    unsigned                        keyed:1;    /* the id is made of the
                                                   client's key */
    unsigned                        answered:1; /* the body is ours */
};


#define NGX_HTTP_MEDIA_UPLOAD_PARTS   1000      /* S3 lists them at once */
#define NGX_HTTP_MEDIA_UPLOAD_ID_MAX  1024      /* bytes of an UploadId */
#define NGX_HTTP_MEDIA_UPLOAD_ANSWER  16384     /* bytes of one, beside what
                                                   the configuration adds */

#define NGX_HTTP_MEDIA_UPLOAD_ANY                                             \
    NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF

#define NGX_HTTP_MEDIA_UPLOAD_API(name, api)                                  \
    { ngx_string(name),                                                       \
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,                                      \
      ngx_http_media_upload_set_api,                                          \
      NGX_HTTP_LOC_CONF_OFFSET,                                               \
      api,                                                                    \
      NULL },

#define NGX_HTTP_MEDIA_UPLOAD_LOC(name, args, set, field)                     \
    { ngx_string(name),                                                       \
      NGX_HTTP_MEDIA_UPLOAD_ANY|args,                                         \
      set,                                                                    \
      NGX_HTTP_LOC_CONF_OFFSET,                                               \
      offsetof(ngx_http_media_loc_conf_t, upload.field),                      \
      NULL },

/* entries of the command table, each with its comma */
#define NGX_HTTP_MEDIA_UPLOAD_COMMANDS                                        \
    NGX_HTTP_MEDIA_UPLOAD_API("media_send", NGX_HTTP_MEDIA_API_SEND)          \
    NGX_HTTP_MEDIA_UPLOAD_LOC("media_send_conversation", NGX_CONF_TAKE1,      \
        ngx_http_media_set_value, conversation)                               \
    NGX_HTTP_MEDIA_UPLOAD_API("media_upload", NGX_HTTP_MEDIA_API_UPLOAD)      \
    NGX_HTTP_MEDIA_UPLOAD_API("media_upload_complete",                        \
        NGX_HTTP_MEDIA_API_COMPLETE)                                          \
    NGX_HTTP_MEDIA_UPLOAD_LOC("media_upload_endpoint", NGX_CONF_TAKE1,        \
        ngx_conf_set_str_slot, public_endpoint)                               \
    NGX_HTTP_MEDIA_UPLOAD_LOC("media_upload_max_size", NGX_CONF_TAKE2,        \
        ngx_http_media_upload_set_max_size, sizes)                            \
    NGX_HTTP_MEDIA_UPLOAD_LOC("media_upload_part_size", NGX_CONF_TAKE1,       \
        ngx_conf_set_size_slot, part_size)                                    \
    NGX_HTTP_MEDIA_UPLOAD_API("media_upload_parts",                           \
        NGX_HTTP_MEDIA_API_PARTS)                                             \
    NGX_HTTP_MEDIA_UPLOAD_LOC("media_upload_store", NGX_CONF_TAKE1,           \
        ngx_conf_set_str_slot, prefix)                                        \
    NGX_HTTP_MEDIA_UPLOAD_LOC("media_upload_ttl", NGX_CONF_TAKE1,             \
        ngx_conf_set_sec_slot, url_ttl)                                       \
    NGX_HTTP_MEDIA_UPLOAD_LOC("media_upload_types", NGX_CONF_2MORE,           \
        ngx_http_media_upload_set_types, types)                               \
    NGX_HTTP_MEDIA_UPLOAD_API("media_upload_url", NGX_HTTP_MEDIA_API_URL)


/* setters; the api is at cmd->offset */
char *ngx_http_media_upload_set_api(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_media_upload_set_max_size(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_media_upload_set_types(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

struct ngx_http_media_loc_conf_s;

void ngx_http_media_upload_create_loc(ngx_http_media_upload_loc_conf_t *lcf);
/* after all other parts of the location were merged */
char *ngx_http_media_upload_merge_loc(ngx_conf_t *cf,
    ngx_http_media_upload_loc_conf_t *prev,
    struct ngx_http_media_loc_conf_s *conf);


/* postconfiguration: the request body filter of media_upload */
ngx_int_t ngx_http_media_upload_init(ngx_conf_t *cf);


/* content handlers */
ngx_int_t ngx_http_media_upload_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_media_upload_url_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_media_upload_complete_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_media_upload_parts_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_media_send_handler(ngx_http_request_t *r);


/* the context of a request, made if there is none; NULL: no memory */
ngx_http_media_upload_ctx_t *ngx_http_media_upload_ctx(
    ngx_http_request_t *r);

/* the tenant of the caller, whom the authorisation has let in; NGX_ERROR if
   there is none */
ngx_int_t ngx_http_media_upload_tenant(ngx_http_request_t *r,
    media_str_t *tenant);

/* Answers in the client's language.  Returns what to finalize with. */
ngx_int_t ngx_http_media_upload_refuse(ngx_http_request_t *r,
    media_upload_error_t error, int64_t limit);

/* the body of that answer; returns its status, 500 if out of memory */
ngx_int_t ngx_http_media_upload_refusal(ngx_http_request_t *r,
    media_upload_error_t error, int64_t limit, ngx_str_t *body);

/* the file has been read: puts it to S3, and answers in any case */
void ngx_http_media_upload_put(ngx_http_request_t *r);

/* the ETag is known: publishes upload_complete, and answers; rc is NGX_OK, or
   NGX_DECLINED: it was completed with other values */
void ngx_http_media_upload_complete_publish(ngx_http_request_t *r,
    ngx_int_t rc);

/*
 * file_name, file_type (in lower case), file_size, conversation_id, caption
 * and kind of the fields, checked; the upload is in the context then.
 */
media_upload_error_t ngx_http_media_upload_fields(ngx_http_request_t *r,
    int64_t *limit);

/*
 * Makes keys, times, claims and token of what was checked.  part_size and
 * multipart_id are set already.  media_upload_make() is done by the first.
 */
ngx_int_t ngx_http_media_upload_begin(ngx_http_request_t *r,
    int64_t part_size);
ngx_int_t ngx_http_media_upload_sign(ngx_http_request_t *r);
/* the claims alone, after the upload was changed */
ngx_int_t ngx_http_media_upload_claims(ngx_http_request_t *r);

/* the job of a type: the claims, and further members, "name":value,... */
ngx_int_t ngx_http_media_upload_job(ngx_http_request_t *r, const char *type,
    ngx_str_t *more, ngx_str_t *body);

/* the attachment as clients see it, an object with its end of line */
void ngx_http_media_upload_attachment(ngx_http_request_t *r,
    ngx_http_media_json_t *json);
/* the member file_url */
void ngx_http_media_upload_file_url(ngx_http_media_json_t *json,
    media_upload_t *u, ngx_str_t *base);

/* Verifies a token for the caller; the upload is in the context then. */
media_upload_error_t ngx_http_media_upload_verify(ngx_http_request_t *r,
    ngx_str_t *token);

/*
 * Asks S3 by a subrequest to the location of media_upload_store.  query is
 * canonical as it stands (names sorted, encoded), body.len 0: none; a PUT
 * sends the client's body, which has upload.file_size bytes.  handler is
 * called once there is an answer; the caller has a reference to the request.
 * NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_media_upload_s3(ngx_http_request_t *r, ngx_uint_t method,
    const char *key, ngx_str_t *query, ngx_str_t *body,
    ngx_http_media_upload_answer_pt handler);

/* the body filter of such a subrequest; NGX_DECLINED for any other */
ngx_int_t ngx_http_media_upload_s3_filter(ngx_http_request_t *sr,
    ngx_chain_t *in);

/*
 * A presigned PUT of the quarantine object, or of a part of it (number 0:
 * the object), with the length and, for the object, the type signed.
 */
ngx_int_t ngx_http_media_upload_presign(ngx_http_request_t *r,
    ngx_uint_t number, int64_t size, ngx_str_t *url);

/* upload_url, method and fields of a POST form for the quarantine object */
ngx_int_t ngx_http_media_upload_presign_form(ngx_http_request_t *r,
    ngx_http_media_json_t *json);

/* before, as it stands, and the encoded UploadId */
ngx_int_t ngx_http_media_upload_query(ngx_http_request_t *r,
    const char *before, ngx_str_t *query);

/*
 * Remembers, by its id, what the upload is, and what it is completed with:
 * caption, idempotency_key and reply_to.  handler gets NGX_OK the first time,
 * if they are the same, or if Redis cannot tell; NGX_DECLINED if they are
 * others.
 */
void ngx_http_media_upload_once(ngx_http_request_t *r,
    ngx_http_media_job_handler_pt handler);


typedef struct {
    int64_t      size;          /* that it must have */
    int64_t      stored;        /* -1: it is not there */
    ngx_str_t    etag;
    unsigned     complete:1;    /* stored, with that size */
} ngx_http_media_upload_part_t;

/* Lists the parts of a multipart upload: NGX_OK or NGX_ERROR. */
ngx_int_t ngx_http_media_upload_parts_list(ngx_http_request_t *r,
    ngx_http_media_upload_answer_pt handler);

/* All parts that there must be, in order; NULL if the list is none. */
ngx_array_t *ngx_http_media_upload_parts_read(ngx_http_request_t *r,
    ngx_http_media_upload_answer_t *answer);

/*
 * idempotency_key (or the header Idempotency-Key) and reply_to into the
 * context; key: what is taken if there is none, NULL: it must be there.
 * NGX_OK, or NGX_DECLINED if the request was answered by 400.
 */
ngx_int_t ngx_http_media_send_fields(ngx_http_request_t *r, ngx_str_t *key);

#endif
