/*
 * Copyright (C) ngx_media contributors
 *
 * What becomes of a file by clamd's verdict, as the configuration has it.
 * The file is complete and nothing of it is stored: clamd looks at a stream
 * only once that has ended, and waits less long for a piece of it than a slow
 * server may take.
 */

#include "media_worker.h"


static scan_outcome_t scan_outcome(scan_result_t rc);
static scan_outcome_t scan_failed(child_t *child, attachment_t *a,
    scan_result_t rc, const char *error);
static scan_outcome_t scan_infected(child_t *child, attachment_t *a,
    const char *virus);
static int scan_quarantine(child_t *child, attachment_t *a);
static int scan_drop_body(child_t *child, const attachment_t *a);


scan_outcome_t
scan_attachment(child_t *child, attachment_t *a)
{
    char            error[256];
    int64_t         start;
    scan_result_t   rc;
    scan_outcome_t  outcome;

    if (conf.clamd_address[0] == '\0') {
        return SCAN_PASSED;
    }

    start = now_ms();
    (void) attachment_renew(child, a);
    rc = clamd_scan(a->fd, a->size, error, sizeof(error));
    metrics_scan(rc);
    outcome = scan_outcome(rc);

    if (outcome != SCAN_PASSED) {
        return scan_failed(child, a, rc, error);
    }

    if (rc != SCAN_CLEAN) {
        log_msg(LOG_WARN, "file is taken without a verdict", "reason", error,
                NULL);
    }

    ingest_hop(child, a, "scan", rc == SCAN_CLEAN ? "ok" : "accepted", error,
               start);

    return SCAN_PASSED;
}


scan_outcome_t
scan_file(int fd, int64_t size)
{
    char            error[256];
    scan_result_t   rc;
    scan_outcome_t  outcome;

    if (conf.clamd_address[0] == '\0') {
        return SCAN_PASSED;
    }

    rc = clamd_scan(fd, size, error, sizeof(error));
    metrics_scan(rc);
    outcome = scan_outcome(rc);

    if (error[0] != '\0') {
        log_msg(LOG_WARN, outcome == SCAN_PASSED
                          ? "file is taken without a verdict"
                          : "file is not taken", "reason", error, NULL);
    }

    return outcome;
}


static scan_outcome_t
scan_outcome(scan_result_t rc)
{
    bool  accept;

    accept = strcmp(conf.scan_error, "accept") == 0;

    switch (rc) {

    case SCAN_CLEAN:
        return SCAN_PASSED;

    case SCAN_INFECTED:
        return SCAN_REFUSED;

    case SCAN_TOO_LARGE:
        return strcmp(conf.scan_too_large, "accept") == 0 ? SCAN_PASSED
                                                          : SCAN_REFUSED;

    case SCAN_ERROR:
        return accept ? SCAN_PASSED : SCAN_RETRY;

    default:
        return accept ? SCAN_PASSED : SCAN_AGAIN;
    }
}


static scan_outcome_t
scan_failed(child_t *child, attachment_t *a, scan_result_t rc,
    const char *error)
{
    switch (rc) {

    case SCAN_INFECTED:
        return scan_infected(child, a, error);

    case SCAN_TOO_LARGE:
        fetch_reason(a, "the file is too large for the virus scanner: %s",
                     error);
        return SCAN_REFUSED;

    default:
        fetch_reason(a, "the file could not be scanned for viruses: %s",
                     error);
        return scan_outcome(rc);
    }
}


static scan_outcome_t
scan_infected(child_t *child, attachment_t *a, const char *virus)
{
    char  digest[65];

    media_hex_encode(digest, a->digest, 32);
    digest[64] = '\0';
    log_msg(LOG_WARN, "file is infected", "virus", virus, "sha256", digest,
            NULL);

    if ((strcmp(conf.scan_infected, "quarantine") == 0
         && scan_quarantine(child, a) != 0)
        || scan_drop_body(child, a) != 0)
    {
        return SCAN_AGAIN;
    }

    fetch_reason(a, "the file contains a virus: %s", virus);

    return SCAN_REFUSED;
}


static int
scan_quarantine(child_t *child, attachment_t *a)
{
    char     key[MEDIA_KEY_MAX];
    long     status;
    int64_t  start;

    start = now_ms();
    snprintf(key, sizeof(key), "quarantine/%.200s/%s", a->tenant, a->id);

    if (store_put_checked(child, key, a->fd, a->size,
                          "application/octet-stream", "attachment", &status)
        != 0)
    {
        fetch_reason(a, "S3 did not store the infected file: HTTP %ld",
                     status);
        return -1;
    }

    ingest_hop(child, a, "quarantine", "ok", key, start);

    return 0;
}


/* a webhook's body in S3 may have the file as base64; it stays for what else
   is to be fetched from it */

static int
scan_drop_body(child_t *child, const attachment_t *a)
{
    int          rc;
    bool         last;
    long         status;
    PGresult    *res;
    const char  *params[2];

    if (a->body_key[0] == '\0') {
        return 0;
    }

    params[0] = a->id;
    params[1] = a->body_key;
    res = db_exec(child,
                  "SELECT 1 FROM media.message_attachments"
                  " WHERE source->>'body_key' = $2 AND id <> $1::uuid"
                  "   AND status <> 'completed' LIMIT 1", 2, params);

    if (res == NULL) {
        return -1;
    }

    last = PQntuples(res) == 0;
    PQclear(res);

    if (last && store_delete(child, a->body_key, &status) != 0
        && status != 404)
    {
        return -1;
    }

    res = db_exec(child,
                  "UPDATE media.message_attachments"
                  "   SET source = source - 'body_key'"
                  " WHERE id = $1::uuid", 1, params);
    rc = res == NULL ? -1 : 0;
    PQclear(res);

    return rc;
}
