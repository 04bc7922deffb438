/*
 * Copyright (C) ngx_media contributors
 *
 * The one header of worker/: every type, field by field, then each file's
 * functions.  Functions return 0, or -1 with the reason logged, unless they
 * say otherwise.  Children are sequential and blocking; one job at a time.
 */

#ifndef MEDIA_WORKER_H
#define MEDIA_WORKER_H

#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#include <curl/curl.h>
#include <libpq-fe.h>

#include "media_core.h"
#include "media_codec.h"
#include "media_decrypt.h"
#include "media_json.h"
#include "media_key.h"
#include "media_mime.h"
#include "media_sign.h"
#include "media_sigv4.h"
#include "media_url.h"
#include "media_webhook.h"


#define MEDIA_VERSION   "0.1.0"
#define CREDENTIAL_MAX  4096        /* bytes of an instance's token */


/* what became of a job; consume.c acts on it */
typedef enum {
    JOB_DONE = 0,       /* acknowledge */
    JOB_RETRY,          /* a passing failure of this job: next delay queue,
                           counts as an attempt */
    JOB_AGAIN,          /* our own backend is away (database, S3, Redis):
                           first delay queue, does not count */
    JOB_DEAD            /* can never succeed and has no row: media_dead */
} job_result_t;


/* configuration; one static instance, read-only after conf_load() */
typedef struct {
    char   *s3_endpoint_url;        /* "http://127.0.0.1:9000" */
    char   *s3_bucket;
    char   *s3_access_key;
    char   *s3_secret_key;
    char   *s3_session_token;       /* "" if none */
    char   *s3_region;
    char   *redis_url;
    char   *rabbitmq_url;
    char   *database_url;
    char   *clamd_address;          /* "" if files are not scanned */
    char   *metrics_listen;         /* "" if metrics are not shown */
    char   *whatsapp_cdn_url;
    char   *public_url;             /* base of file_url, ends in '/' */
    char   *tmp_dir;
    char   *log_file;               /* "" is standard error */
    char   *log_format;             /* "logfmt" or "json" */
    int     log_level;
    int     children_inbound;
    int     children_priority;
    int     children_download;
    int     children_upload;
    int     retry_delays[16];       /* seconds, ascending */
    int     nretry_delays;
    int     download_timeout;       /* seconds, of one transfer */
    int     download_attempts;
    int     lease;                  /* seconds a child may hold a row */
    int     max_jobs;               /* of a child, then it is replaced */
    int64_t max_rss;                /* bytes, likewise */
    int     max_duration;           /* what a file may have: seconds */
    int64_t max_expansion;          /* bytes out of an archive */
    int     max_frames;
    int     max_pages;
    int64_t max_pixels;             /* of all frames */
    int     thumb_size;             /* pixels */
    int     thumb_quality;
    char   *scan_error;             /* "retry" or "accept" */
    char   *scan_infected;          /* "reject" or "quarantine" */
    char   *scan_too_large;         /* "reject" or "accept" */
    int     scan_timeout;           /* seconds */
    int     sweep_interval;         /* seconds */
    int     stop_timeout;           /* seconds children have to finish */
    int     send_attempts;          /* of a message, then it has failed */
    int     send_rate;              /* messages a second of a number; 0: as
                                       its provider takes them */
    int     unrouted_keep;          /* seconds */
    int     s3_use_ssl;             /* -1: as s3_endpoint_url says, which has
                                       its scheme after conf_load() */
    char   *sql_dir;                /* of the migrations */
    char   *sign_key_id;            /* of media URLs; "" and "": they are */
    char   *sign_key;               /* not signed */
    int     sign_ttl;               /* seconds */
    char   *credential_key;         /* "ID:HEX ..."; the first encrypts */
    media_mime_policy_t  mime;
} conf_t;

extern conf_t conf;


/* one message from the broker */
typedef struct {
    const char  *queue;
    media_str_t  body;
    char         provider[16];      /* headers; "" if absent */
    char         request_id[64];
    char         instance[256];
    char         body_key[128];     /* webhook body offloaded to S3 */
    int64_t      body_size;
    int64_t      received_ms;
    int          attempt;           /* 0 the first time */
    bool         redelivered;
} job_t;


typedef struct broker_s  broker_t;

/* what a child owns; made by child.c, alive as long as the process */
typedef struct {
    const char  *queue;
    broker_t    *broker;
    PGconn      *db;
    CURL        *curl;              /* one easy handle, connections reused */
    void        *redis;             /* redisContext *, or NULL */
} child_t;


/* conf.c: one table {name, parser, offset, default, reloadable} */
int conf_load(void);                /* from the environment and *_FILE */
/* the same for a program that needs only these, NULL-terminated */
int conf_load_for(const char *const *names);
void conf_print(FILE *f);           /* -T: effective values, secrets hidden */


/*
 * log.c: one line per call, logfmt or JSON: time, level, pid, child, then
 * message, then the pairs.  ... is (const char *key, const char *value)*,
 * ended by NULL.  log_context() sets pairs that every following line of this
 * process carries (attachment id, stage); NULL clears.
 */
enum { LOG_ERR = 3, LOG_WARN = 4, LOG_NOTICE = 5, LOG_INFO = 6, LOG_DEBUG = 7 };

int log_open(void);                 /* also SIGUSR1 */
void log_context(const char *key, const char *value);
void log_msg(int level, const char *message, ...)
    __attribute__((sentinel));
/* a formatted value for log_msg(), valid until the eighth next call */
const char *log_fmt(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));


/* broker.c: librabbitmq, blocking */
broker_t *broker_open(void);        /* connects, declares nothing */
void broker_close(broker_t *b);
int broker_declare(broker_t *b);    /* the whole topology, idempotent */
/*
 * Publishes persistent, mandatory, and waits for the confirm.  delay 0 goes
 * to the queue, else through the retry queue of at least that delay.
 */
int broker_publish(broker_t *b, const char *queue, media_str_t body,
    int attempt, int delay);
/* the same with all headers of a job */
int broker_publish_job(broker_t *b, const job_t *job, int delay);
/* {"type":type,name:id}, neither of which needs an escape; -1 also if b is
   NULL */
int broker_publish_id(broker_t *b, const char *queue, const char *type,
    const char *name, const char *id, int delay);
/* the number of messages that wait in a queue, or -1 */
int broker_waiting(broker_t *b, const char *queue);


/* db.c: libpq */
/* the child's connection, (re)connected if need be; NULL with the reason
   logged if the database is away */
PGconn *db_get(child_t *child);
/*
 * Runs one statement with n text parameters (NULL is NULL).  The result is
 * the caller's (PQclear); NULL and logged (SQLSTATE, never parameters) on
 * failure.
 */
PGresult *db_exec(child_t *child, const char *sql, int n,
    const char *const *params);
int db_begin(child_t *child);
int db_commit(child_t *child);
void db_rollback(child_t *child);
/* 1 if the last failure was of the connection or a serialisation conflict,
   so that the job is JOB_AGAIN */
int db_failure_is_passing(child_t *child);
const char *db_failure_state(void);     /* its SQLSTATE, "" if none */


/*
 * outbox.c: an event row in the running transaction, and its publication
 * after the commit (what fails is left to the sweeper).  payload is a JSON
 * object.
 */
int event_add(child_t *child, const char *tenant, const char *conversation_id,
    const char *type, const char *payload);
void event_publish(child_t *child);
/* the same for rows that nobody published; the number, or -1 */
int event_publish_left(child_t *child);

/*
 * purge.c: what was cached of an object key, or of all keys with a prefix
 * that ends in '/', is not found again; called after S3 has changed.  A purge
 * is a row in the running transaction, or in one of its own; it is published
 * after the commit.  purge_add() gives the id, unless that is NULL.
 */
bool purge_target_is_valid(const char *target);
int purge_add(child_t *child, const char *target, int64_t *id);
/* -1 if that is left to the sweeper */
int purge_publish(child_t *child);
/*
 * For one child: each second what was left is published and a lost log made
 * anew; each conf.sweep_interval old rows are dropped, too.  -1 if the
 * database failed.
 */
int purge_poll(child_t *child);
void purge_sweep(child_t *child);

/*
 * redis.c: one command on the child's connection, (re)connected if need be.
 * The reply (redisReply *) is the caller's; NULL if Redis is away or refused,
 * which is logged.
 */
void *redis_call(child_t *child, int n, const char **argv,
    const size_t *lens);
void redis_free(void *reply);
void redis_close(child_t *child);

/* hop.c: one row in media.hops, outside of transactions, never fails a job */
void hop_add(child_t *child, const char *attachment_id,
    const char *instance_id, const char *provider_id, const char *stage,
    const char *outcome, const char *detail, int64_t duration_ms);


/* the jobs */
job_result_t inbound_job(child_t *child, job_t *job);       /* inbound.c */
job_result_t download_job(child_t *child, job_t *job);      /* download.c */
job_result_t profile_job(child_t *child, job_t *job);       /* profile.c */
/* preview.c; of the attachment with that id */
job_result_t preview_job(child_t *child, const char *id);

/*
 * sweep.c, called each conf.sweep_interval by one child: re-queues pending
 * and expired processing rows, publishes events left over
 */
void sweep_run(child_t *child);


/*
 * http.c: one guarded transfer with libcurl, streaming
 */
typedef struct {
    const char         *method;         /* GET POST PUT HEAD DELETE */
    const char         *url;
    struct curl_slist  *headers;        /* the caller's */
    /* request body: from memory, or from a file descriptor */
    media_str_t         body;
    int                 body_fd;        /* -1: none */
    int64_t             body_size;
    /* answer body: handler for 2xx answers; returns 0 to go on */
    int               (*write)(void *data, const char *s, size_t len);
    void               *data;
    int64_t             max_size;       /* of the answer; -1: no limit */
    int                 timeout;        /* seconds */
    int                 low_speed;      /* bytes/s during 10 s, 0: none */
    const char         *trusted;        /* origin that may be private */
    const char *const  *hosts;          /* allow-list of domains for any other
                                           origin, NULL-terminated */
    unsigned            follow:1;       /* redirects, each hop checked, no
                                           credentials to another host */
    unsigned            guarded:1;      /* hosts and addresses are checked */
    unsigned            once:1;         /* on a connection of its own, so that
                                           libcurl never repeats it */
} http_request_t;

typedef struct {
    long                status;         /* 0: no answer */
    int                 curl_code;
    const char         *error;          /* a literal or curl's text, no URL */
    int64_t             length;         /* of the answer body, received */
    char                content_type[128];
    int64_t             content_length; /* declared, -1 unknown */
    int                 retry_after;    /* seconds, as the server asked; 0 */
    char                text[1024];     /* the beginning of a non-2xx body */
    unsigned            too_large:1;
    unsigned            refused:1;      /* by the guard */
    unsigned            written:1;      /* something of the request may have
                                           reached the server */
} http_answer_t;

/* Returns 0 if there was an HTTP answer (of any status), else -1. */
int http_perform(CURL *curl, const http_request_t *req, http_answer_t *ans);


/* store.c: S3 with SigV4, path style.  Return 0, or -1; status in *status */
int store_put(child_t *child, const char *key, int fd, int64_t size,
    const char *content_type, const char *disposition, long *status);
/* the same, and a HEAD that says the object is there in full length */
int store_put_checked(child_t *child, const char *key, int fd, int64_t size,
    const char *content_type, const char *disposition, long *status);
int store_put_mem(child_t *child, const char *key, media_str_t body,
    const char *content_type, long *status);
int store_head(child_t *child, const char *key, int64_t *size,
    char *content_type, size_t content_type_size, long *status);
/* offset -1: the whole object */
int store_get(child_t *child, const char *key, int64_t offset, int64_t length,
    int (*write)(void *data, const char *s, size_t len), void *data,
    int64_t max_size, long *status);
int store_delete(child_t *child, const char *key, long *status);
/*
 * Server-side copy, of the object with that ETag if it is not NULL (status
 * 412 if it is another).  With a content type the copy has that and the
 * disposition, else what the source has.
 */
int store_copy(child_t *child, const char *source, const char *key,
    const char *etag, const char *content_type, const char *disposition,
    long *status);
int store_abort_multipart(child_t *child, const char *key,
    const char *upload_id, long *status);
/* file_url of a key: conf.public_url and the encoded key */
int store_public_url(char *dst, size_t size, const char *key);
/* its inverse; -1 if it is not the URL of an object of ours */
int store_key_of_url(char *dst, size_t size, const char *url);

/* sign.c: file_url of a key, with a signature that is good until expires.
   -1 if no tenant may read it, or it does not fit; nothing is logged. */
#define SIGN_URL_MAX  (3 * MEDIA_KEY_MAX + 1024)
#define SIGN_TTL_MAX  (7 * 86400)

int sign_url(char *dst, size_t size, const char *key, time_t expires);


/*
 * The download chain.  attachment.c owns the row, fetch.c brings the bytes,
 * provider.c asks the providers' APIs, download.c is the job.
 */

/* what became of one source of the bytes; the larger decides over all */
typedef enum {
    FETCH_OK = 0,
    FETCH_NONE,                     /* the source does not exist here */
    FETCH_FINAL,
    FETCH_EXPIRED,                  /* gone; a re-upload would help */
    FETCH_RETRY,                    /* passing */
    FETCH_AGAIN                     /* our own backend is away */
} fetch_result_t;

typedef struct attachment_s  attachment_t;

struct attachment_s {
    PGresult         *row;          /* owns the strings */
    const char       *id;
    const char       *tenant;
    const char       *conversation;
    const char       *instance;     /* row id */
    const char       *provider;
    const char       *name;         /* of the instance at the provider */
    const char       *base_url;
    char              token[CREDENTIAL_MAX];    /* "" if there is none */
    const char       *file_name;    /* "" if the message had none */
    const char       *stored;       /* key of an earlier job, "" if none */
    const char       *declared;     /* MIME type, with parameters, or "" */
    media_category_t  category;
    int               attempts;     /* this one included */

    /* of source */
    const char       *message_id;
    const char       *chat_raw;
    const char       *sender_raw;
    const char       *key_type;
    const char       *direct_path;
    const char       *url;
    const char       *media_url;
    const char       *media_id;
    const char       *body_key;
    int64_t           body_offset;
    int64_t           body_length;
    int64_t           file_length;  /* -1 unknown, advisory */
    bool              from_me;
    bool              has_preview;  /* there is one, or may be soon */
    media_str_t       media_key;    /* decoded; empty if absent */
    media_str_t       sha256;
    media_str_t       enc_sha256;
    unsigned char     keys[3][64];

    /* the file, once it is here */
    int               fd;
    int64_t           size;
    int64_t           max_size;
    unsigned char     digest[32];   /* SHA-256 */
    char              sniffed[100];
    char              type[100];    /* what it is stored as */
    char              key[MEDIA_KEY_MAX];
    char              thumb_key[MEDIA_KEY_MAX];     /* "" if none */
    char             *metadata;     /* a JSON object, malloc()ed; or NULL */
    int               preview;      /* an unlinked file, or -1 */
    int64_t           preview_size;
    int               preview_width;
    int               preview_height;
    char              preview_type[64];
    char              inspected[160];   /* why there is no preview, or "" */
    bool              undecoded;    /* the decoder died of it */
    bool              ogg;              /* sound that not all browsers play */
    char              reason[480];  /* why it failed, by source */
    bool              locked;       /* the lease is this session's */

    /* in the transaction that completes or fails it; NULL: nothing more */
    int             (*finish)(child_t *child, const attachment_t *a,
                              bool complete);
};

enum { ATTACHMENT_LEASED = 0, ATTACHMENT_FINISHED, ATTACHMENT_BUSY,
       ATTACHMENT_UNKNOWN, ATTACHMENT_AWAY };

/* attachment.c: 0 or -1, but for attachment_lease().  a->row is freed by
   attachment_free() whatever attachment_lease() returned. */
int attachment_lease(child_t *child, const char *id, attachment_t *a);
/* the lock of a lease alone; not locked: another child has it */
int attachment_lock(child_t *child, const char *id, bool *locked);
int attachment_renew(child_t *child, const attachment_t *a);
/* back to pending; not counted: this attempt was not the attachment's fault */
int attachment_release(child_t *child, const attachment_t *a, bool counted);
int attachment_complete(child_t *child, const attachment_t *a);
int attachment_fail(child_t *child, const attachment_t *a);
/* of a row: its waveform came with the message, or may have, in one that does
   not say so */
#define ATTACHMENT_OWN_WAVEFORM                                               \
    "(metadata ? 'waveform'"                                                  \
    " AND metadata->>'waveform_source' IS DISTINCT FROM 'computed')"
/* one that nobody works on, in the running transaction */
int attachment_cancel(child_t *child, const char *id, const char *reason);
void attachment_free(child_t *child, attachment_t *a);

/*
 * ingest.c: what both ways in have in common.  ingest_inspect() asks the
 * decoder what the file is, and takes the type that was declared if the
 * content is of it.  Returns 0, 1 if a->reason says why the file is not taken,
 * or -1 if there is no decoder.
 */
int ingest_inspect(attachment_t *a);
/* ingest_type.c: a->type of declared, sniffed, category and size, or false
   with a->reason; docs/types.md */
bool ingest_type(attachment_t *a);
/* its file name, made up if it has none (C041), with an extension */
void ingest_name(char *dst, size_t size, const attachment_t *a);
/* Content-Disposition of the object (RFC 6266) */
void ingest_disposition(char *dst, size_t size, const attachment_t *a,
    const char *name);
/* the preview becomes one beside a->key; -1 if S3 did not store it */
int ingest_thumbnail(child_t *child, attachment_t *a);
void ingest_hop(child_t *child, const attachment_t *a, const char *stage,
    const char *outcome, const char *detail, int64_t start);
/* the ends of a stage, with a->reason in row, hop and log */
job_result_t ingest_retry(child_t *child, attachment_t *a, const char *stage);
job_result_t ingest_again(child_t *child, attachment_t *a, const char *stage);
job_result_t ingest_fail(child_t *child, attachment_t *a, const char *stage);
/* S3 will not take it, ever; else it is away, or misconfigured */
bool ingest_refused(long status);
bool ingest_is_uuid(const char *s);

/* preview.c: its key, {key}_preview.jpg with the attachment's key as far as
   that is known before the file is here; 0 or -1 */
int preview_key(char *dst, size_t size, const attachment_t *a);
/* deletes it, if it is there */
void preview_drop(child_t *child, const attachment_t *a);

/* fetch.c */
typedef struct {
    attachment_t     *a;
    media_decrypt_t  *decrypt;
    media_base64_t    base64;
    int64_t           size;
    int64_t           time_ns;      /* spent on decryption and hashes */
    unsigned          encoded:1;    /* the input is base64 */
    unsigned          malformed:1;  /* it was not */
    unsigned          too_large:1;
} fetch_sink_t;

/* tries the sources in turn; a->fd holds the file on FETCH_OK, else a->reason
   says what each source said */
fetch_result_t fetch_attachment(child_t *child, attachment_t *a);

/* a sink for plain bytes, whose SHA-256 is checked if it is known */
int fetch_sink_plain(fetch_sink_t *sink, attachment_t *a, bool encoded);
/* an http_request_t's write */
int fetch_sink_write(void *data, const char *s, size_t len);
/* ends the file: FETCH_OK, or FETCH_FINAL with the reason added */
fetch_result_t fetch_sink_close(fetch_sink_t *sink, const char *source);
/* the class of an answer that was not a success, with the reason added */
fetch_result_t fetch_class(attachment_t *a, const char *source,
    const http_answer_t *ans);
void fetch_reason(attachment_t *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* seconds that a transfer of that many bytes may take */
int fetch_timeout(int64_t size);
/* media_url_choose()'s cdn: NULL if it is WhatsApp's own */
const char *fetch_cdn(void);

/* provider.c */
fetch_result_t provider_fetch(child_t *child, attachment_t *a);
/* the present address of a profile picture, "" if there is none; 0, or -1 if
   the provider did not answer */
int provider_picture(child_t *child, const char *provider, const char *name,
    const char *base_url, const char *token, const char *phone, char *url,
    size_t size);

/*
 * answer.c: the members of a JSON object that are asked for by name or path;
 * strings and numbers as text, others are passed over
 */
#define ANSWER_DEPTH  32

typedef struct {
    const char  *name;              /* "url", "error.code"; NULL ends */
    char        *value;             /* "" before, and if absent */
    size_t       size;              /* what is longer counts as absent */
} answer_member_t;

typedef struct {
    const answer_member_t  *members;
    const char             *long_name;      /* a string for write(), or NULL */
    int                   (*write)(void *data, const char *s, size_t len);
    void                   *data;
    media_json_t           *json;
    const answer_member_t  *member;
    char                    path[64];
    size_t                  len;
    size_t                  ends[ANSWER_DEPTH + 2];     /* of path, by depth */
    unsigned                depth;
    unsigned                is_long:1;
    unsigned                has_long:1;     /* long_name was there */
} answer_t;

int answer_open(answer_t *answer, const answer_member_t *members,
    const char *long_name, int (*write)(void *data, const char *s, size_t len),
    void *data);
/* an http_request_t's write: 0 to go on */
int answer_write(void *data, const char *s, size_t len);
/* 0, or -1 if it was no complete JSON text; frees */
int answer_close(answer_t *answer);


/*
 * upload.c: the jobs of media_send and media_upload.  upload_job() takes
 * those of uploads and hands the others to send_job(); upload_sweep() reaps
 * what was abandoned and takes up what was left.
 */
job_result_t upload_job(child_t *child, job_t *job);
void upload_sweep(child_t *child);


/*
 * rendition.c: a file of an attachment in the form that a provider takes for
 * a kind of message.  What is good as it is stays so; else it is made in the
 * decoder process, stored beside the object and recorded in the attachment's
 * metadata, once.
 */
typedef enum {
    RENDITION_OK = 0,
    RENDITION_REFUSED,              /* error names the provider's limit */
    RENDITION_AGAIN                 /* our own backend is away */
} rendition_result_t;

typedef struct {
    char     key[MEDIA_KEY_MAX];    /* of the object to send */
    char     type[100];             /* "audio/ogg; codecs=opus" */
    char     extension[8];
    int64_t  size;
    int      duration;              /* seconds of a voice note, or 0 */
} rendition_t;

/* kind is "image", "voice" ...; fd is the original, or -1: it is fetched */
rendition_result_t rendition_get(child_t *child, const char *attachment,
    const char *provider, const char *kind, int fd, rendition_t *r,
    char *error, size_t error_size);
/* the same where what was made before is made again */
rendition_result_t rendition_again(child_t *child, const char *attachment,
    const char *provider, const char *kind, int fd, rendition_t *r,
    char *error, size_t error_size);

/* an M4A of the sound in a->fd, stored and recorded, for browsers that play
   no Ogg; -1: our own backend is away.  A file that cannot be converted has
   none, which is a warning. */
int rendition_m4a(child_t *child, const attachment_t *a);


/*
 * clamd.c: a virus scan by INSTREAM; error has the signature's name, the
 * limit, or why there is no verdict
 */
typedef enum {
    SCAN_CLEAN = 0,
    SCAN_INFECTED,
    SCAN_TOO_LARGE,                 /* not scanned, or not in full */
    SCAN_ERROR,                     /* of this file */
    SCAN_BLIND,                     /* it calls clean what it did not scan */
    SCAN_AWAY
} scan_result_t;

/* address.c: of "host:port"; flags as AI_PASSIVE.  0, the list is freed by
   freeaddrinfo(); or -1. */
struct addrinfo;
int address_resolve(const char *address, int flags, struct addrinfo **list);

/*
 * metrics.c: counters that all children share.  metrics_init() comes before
 * the first child; 0 or -1.
 */
int metrics_init(void);
void metrics_scan(scan_result_t rc);
void metrics_job(const char *queue, job_result_t result);

scan_result_t clamd_scan(int fd, int64_t size, char *error,
    size_t error_size);
/* whether it is to be trusted: SCAN_CLEAN, SCAN_BLIND or SCAN_AWAY */
scan_result_t clamd_check(char *error, size_t size);

#define CLAMD_ANSWER_MAX  512

/* clamd's answer as it comes; zeroed before the first piece */
typedef struct {
    char    text[CLAMD_ANSWER_MAX];
    size_t  len;
} clamd_answer_t;

/* 1 with the zero that ends it, behind which nothing is looked at; 0 if it
   goes on; -1 if it is too long */
int clamd_answer_write(clamd_answer_t *answer, const char *s, size_t len);
/* of one that has ended; printable, or left as it is if that is clean */
scan_result_t clamd_answer_verdict(clamd_answer_t *answer, char *error,
    size_t size);

/* scan.c: what the configuration makes of clamd's verdict */
typedef enum {
    SCAN_PASSED = 0,                /* or no scanner is configured */
    SCAN_REFUSED,
    SCAN_RETRY,
    SCAN_AGAIN                      /* our own backend is away */
} scan_outcome_t;

/*
 * Of a->fd, before anything of it is stored; all but SCAN_PASSED come with
 * a->reason.  Nothing else is left of an infected file than its copy in the
 * quarantine, quarantine/{tenant}/{id}, if there is to be one.
 */
scan_outcome_t scan_attachment(child_t *child, attachment_t *a);
/* of a file that is no attachment; the reason is logged */
scan_outcome_t scan_file(int fd, int64_t size);


/*
 * credential.c: what media.instances.token holds is a credential encrypted
 * with MEDIA_CREDENTIAL_KEY ("enc:..."), or where it is read from
 * ("file:/path").  Writes it in the clear and a zero to dst, which the caller
 * wipes.  0, or -1 with the reason logged, never with the credential.
 */
int credential_open(const char *stored, char *dst, size_t size);
/* the inverse: what to store; -1 if there is no key */
int credential_seal(const char *credential, char *dst, size_t size);
/* what credential_seal() writes at the most */
#define CREDENTIAL_STORED_MAX  (CREDENTIAL_MAX * 4 / 3 + 160)
/* NULL if a list of keys is one, else what it must be */
const char *credential_check_keys(const char *keys);
/* encrypts what is in the clear, and if rotate is set what has an older key:
   the number, or -1 */
int credential_seal_all(child_t *child, bool rotate);


/* file.c: an unlinked temporary file in conf.tmp_dir, -1 on failure */
int file_temp(void);
int file_write(int fd, const char *s, size_t len);

/* time in milliseconds, monotonic */
int64_t now_ms(void);

#endif
