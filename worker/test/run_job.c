/*
 * Copyright (C) ngx_media contributors
 *
 * Runs pieces of the worker from the command line, without a broker, for the
 * tests in t/: the environment configures it like media-worker.
 *
 *     run_job download ATTACHMENT_ID ...
 *     run_job job JSON                            of media_download
 *     run_job profile JSON
 *     run_job upload JSON ...
 *     run_job sweep uploads
 *     run_job get KEY >FILE
 *     run_job put KEY FILE TYPE
 *     run_job inspect FILE TYPE OUT ...
 *     run_job types FILE                          lines of category, declared
 *                                                 and sniffed type, by tabs
 *     run_job decode KIND FILE TYPE OUT ...       as a rendition is made
 *     run_job rendition ATTACHMENT_ID PROVIDER KIND ...
 *     run_job http URL TRUSTED HOST               guarded, redirects followed
 *
 * Prints one line of "name=value" pairs per job.
 */

#include <fcntl.h>
#include <sys/stat.h>
#include <stdlib.h>
#include <unistd.h>

#include "decoder.h"
#include "media_worker.h"
#include "run_status.h"


static int run_download(child_t *child, char **argv);
static int run_body(child_t *child, char **argv);
static int run_profile(child_t *child, char **argv);
static int run_upload(child_t *child, char **argv);
static job_result_t run_process(child_t *child, const char *json);
static int run_sweep(child_t *child, char **argv);
static int run_get(child_t *child, char **argv);
static int run_put(child_t *child, char **argv);
static int run_inspect(child_t *child, char **argv);
static int run_types(child_t *child, char **argv);
static int run_decode(child_t *child, char **argv);
static int run_rendition(child_t *child, char **argv);
static int run_http(child_t *child, char **argv);
static int run_descriptors(void);
static void run_save(const char *name, int fd);
static const char *run_result(job_result_t rc);
static int run_print(void *data, const char *s, size_t len);


static const struct {
    const char  *name;
    int        (*run)(child_t *child, char **argv);
} run_commands[] = {
    { "download",  run_download  },
    { "job",       run_body      },
    { "profile",   run_profile   },
    { "upload",    run_upload    },
    { "sweep",     run_sweep     },
    { "get",       run_get       },
    { "put",       run_put       },
    { "inspect",   run_inspect   },
    { "types",     run_types     },
    { "decode",    run_decode    },
    { "rendition", run_rendition },
    { "http",      run_http      },
};


int
main(int argc, char **argv)
{
    int      rc;
    size_t   i;
    child_t  child;

    if (argc < 3 || conf_load() != 0 || log_open() != 0) {
        return 2;
    }

    memset(&child, 0, sizeof(child_t));
    child.queue = "test";
    curl_global_init(CURL_GLOBAL_DEFAULT);
    child.curl = curl_easy_init();

    rc = 2;

    for (i = 0; i < sizeof(run_commands) / sizeof(run_commands[0]); i++) {
        if (strcmp(argv[1], run_commands[i].name) == 0) {
            rc = run_commands[i].run(&child, argv + 2);
        }
    }

    redis_close(&child);
    PQfinish(child.db);
    curl_easy_cleanup(child.curl);
    curl_global_cleanup();
    fflush(stdout);

    return rc;
}


static int
run_download(child_t *child, char **argv)
{
    int           n;
    char          body[256];
    job_t         job;
    int64_t       start;
    job_result_t  rc;

    memset(&job, 0, sizeof(job_t));

    for ( /* void */ ; *argv != NULL; argv++) {
        n = snprintf(body, sizeof(body), "{\"attachment_id\":\"%s\"}", *argv);
        media_str_set(&job.body, body, n);

        start = now_ms();
        rc = download_job(child, &job);

        printf("id=%s result=%s ms=%lld rss=%ld anon=%ld\n", *argv,
               run_result(rc), (long long) (now_ms() - start),
               run_status("VmRSS:"), run_status("RssAnon:"));
        fflush(stdout);
    }

    return 0;
}


static int
run_body(child_t *child, char **argv)
{
    job_t  job;

    memset(&job, 0, sizeof(job_t));
    media_str_set(&job.body, *argv, strlen(*argv));
    printf("result=%s\n", run_result(download_job(child, &job)));

    return 0;
}


static int
run_profile(child_t *child, char **argv)
{
    job_t  job;

    memset(&job, 0, sizeof(job_t));
    media_str_set(&job.body, *argv, strlen(*argv));
    printf("result=%s\n", run_result(profile_job(child, &job)));

    return 0;
}


static int
run_upload(child_t *child, char **argv)
{
    job_t         job;
    job_result_t  rc;

    memset(&job, 0, sizeof(job_t));

    for ( /* void */ ; *argv != NULL; argv++) {
        media_str_set(&job.body, *argv, strlen(*argv));
        rc = upload_job(child, &job);

        if (rc == JOB_DONE && strstr(*argv, "\"upload_complete\"") != NULL) {
            rc = run_process(child, *argv);
        }

        printf("result=%s\n", run_result(rc));
        fflush(stdout);
    }

    return 0;
}


/* what a child of media_upload does then */

static job_result_t
run_process(child_t *child, const char *json)
{
    char         body[96];
    job_t        job;
    const char  *id;

    id = strstr(json, "\"attachment_id\":\"");
    if (id == NULL) {
        return JOB_DEAD;
    }

    snprintf(body, sizeof(body), "{\"type\":\"upload_process\",%.54s}", id);

    memset(&job, 0, sizeof(job_t));
    media_str_set(&job.body, body, strlen(body));

    return upload_job(child, &job);
}


static int
run_sweep(child_t *child, char **argv)
{
    (void) argv;
    upload_sweep(child);
    broker_close(child->broker);

    return 0;
}


static int
run_get(child_t *child, char **argv)
{
    long  status;

    return store_get(child, *argv, -1, 0, run_print, NULL, -1, &status) == 0
           ? 0 : 1;
}


static int
run_put(child_t *child, char **argv)
{
    int          fd;
    long         status;
    struct stat  st;

    fd = open(argv[1], O_RDONLY);

    if (fd == -1 || fstat(fd, &st) != 0) {
        return 1;
    }

    return store_put(child, argv[0], fd, st.st_size, argv[2], NULL, &status)
           == 0 ? 0 : 1;
}


static int
run_inspect(child_t *child, char **argv)
{
    int                fd, out, rc;
    char              *json;
    int64_t            start;
    decoder_answer_t   ans;

    static const char *const  verdicts[] = { "ok", "refused", "corrupt",
                                             "encrypted", "unknown",
                                             "failed" };

    (void) child;

    for ( /* void */ ; argv[0] != NULL && argv[1] && argv[2]; argv += 3) {
        fd = open(argv[0], O_RDONLY);
        start = now_ms();
        rc = inspect(fd, argv[1], conf.thumb_size, "image/jpeg image/webp",
                     &ans, &out);

        json = metadata_json(&ans);
        printf("rc=%d\tfds=%d\tverdict=%s\ttype=%s\tms=%lld\tsize=%lld\t"
               "result=%s\tmetadata=%s\tmade_by=%s\terror=%s\n", rc,
               run_descriptors(),
               verdicts[ans.verdict], ans.type,
               (long long) (now_ms() - start),
               (long long) ans.result.size, ans.result.type, json,
               ans.made_by, ans.error);
        fflush(stdout);
        free(json);
        close(fd);

        if (out != -1) {
            run_save(argv[2], out);
            close(out);
        }
    }

    return 0;
}


/* what each pair becomes: a type, or nothing */
static int
run_types(child_t *child, char **argv)
{
    FILE          *file;
    char           category[32], declared[128], line[512];
    media_str_t    name;
    attachment_t   a;

    (void) child;

    file = fopen(argv[0], "r");

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        memset(&a, 0, sizeof(attachment_t));

        if (sscanf(line, "%31[^\t]\t%127[^\t]\t%99[^\n]", category, declared,
                   a.sniffed)
            != 3)
        {
            return 2;
        }

        media_str_set(&name, category, strlen(category));
        a.category = media_category_by_name(name);
        a.declared = declared;
        a.size = 1;

        if (!ingest_type(&a)) {
            a.type[0] = '\0';
        }

        printf("%s\n", a.type);
    }

    return file == NULL || fclose(file) != 0;
}


static int
run_decode(child_t *child, char **argv)
{
    int                fd, i, out, rc;
    int64_t            start;
    decoder_answer_t   ans;
    decoder_request_t  req;

    static const char *const  kinds[] = { "sniff", "inspect", "image",
                                          "sticker", "voice", "audio", "m4a",
                                          "video", NULL };

    (void) child;

    for ( /* void */ ; argv[0] && argv[1] && argv[2] && argv[3]; argv += 4) {
        memset(&req, 0, sizeof(decoder_request_t));
        strcpy(req.types, "none");
        snprintf(req.mime, sizeof(req.mime), "%s", argv[2]);
        req.cpu_time = 60;
        req.max_edge = conf.thumb_size;
        req.quality = conf.thumb_quality;
        req.max_size = 16 * 1024 * 1024;

        for (i = 0; kinds[i] != NULL; i++) {
            if (strcmp(kinds[i], argv[0]) == 0) {
                req.task = i;
            }
        }

        fd = open(argv[1], O_RDONLY);
        out = file_temp();
        start = now_ms();
        rc = decode(fd, out, &req, &ans);

        printf("rc=%d width=%d height=%d size=%lld duration=%d ms=%lld "
               "decoder=%d error=%s\n", rc, ans.width, ans.height,
               (long long) ans.result.size,
               (int) ((ans.duration_ms + 999) / 1000),
               (long long) (now_ms() - start),
               ans.verdict != DECODER_FAILED, ans.error);
        fflush(stdout);

        if (ans.error[0] == '\0') {
            run_save(argv[3], out);
        }

        close(out);
        close(fd);
    }

    return 0;
}


static int
run_rendition(child_t *child, char **argv)
{
    char                error[512];
    int64_t             start;
    rendition_t         r;
    rendition_result_t  rc;

    static const char *const  results[] = { "ok", "refused", "again" };

    for ( /* void */ ; argv[0] != NULL && argv[1] && argv[2]; argv += 3) {
        start = now_ms();
        rc = rendition_get(child, argv[0], argv[1], argv[2], -1, &r, error,
                           sizeof(error));

        printf("result=%s\tkey=%s\ttype=%s\textension=%s\tsize=%lld\t"
               "duration=%d\tms=%lld\terror=%s\n", results[rc], r.key, r.type,
               r.extension, (long long) r.size, r.duration,
               (long long) (now_ms() - start), error);
        fflush(stdout);
    }

    return 0;
}


static int
run_http(child_t *child, char **argv)
{
    int             rc;
    const char     *hosts[2];
    http_answer_t   ans;
    http_request_t  req;

    memset(&req, 0, sizeof(http_request_t));
    hosts[0] = argv[2];
    hosts[1] = NULL;
    req.method = "GET";
    req.url = argv[0];
    req.headers = curl_slist_append(NULL, "Authorization: Bearer credential");
    req.body_fd = -1;
    req.max_size = 1000000;
    req.timeout = 5;
    req.trusted = argv[1];
    req.hosts = hosts;
    req.follow = 1;
    req.guarded = 1;

    rc = http_perform(child->curl, &req, &ans);
    curl_slist_free_all(req.headers);
    printf("rc=%d status=%ld refused=%d length=%lld error=%s\n", rc,
           ans.status, ans.refused, (long long) ans.length, ans.error);

    return 0;
}


/* that are open */
static int
run_descriptors(void)
{
    int  fd, n;

    n = 0;

    for (fd = 0; fd < 256; fd++) {
        n += fcntl(fd, F_GETFD) != -1;
    }

    return n;
}


static void
run_save(const char *name, int fd)
{
    int      out;
    char     bytes[65536];
    ssize_t  n;

    out = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0644);
    lseek(fd, 0, SEEK_SET);

    while ((n = read(fd, bytes, sizeof(bytes))) > 0) {
        (void) file_write(out, bytes, n);
    }

    close(out);
}


static const char *
run_result(job_result_t rc)
{
    static const char *const  names[] = { "done", "retry", "again", "dead" };

    return names[rc];
}


/* kB, of /proc/self/status */
static int
run_print(void *data, const char *s, size_t len)
{
    (void) data;
    return fwrite(s, 1, len, stdout) == len ? 0 : -1;
}
