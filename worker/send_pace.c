/*
 * Copyright (C) ngx_media contributors
 *
 * When a number may send, for all children of all workers: the generic cell
 * rate algorithm in media.send_paces, a row of the number and one of each
 * pair of number and chat; and the number's circuit breaker in
 * media.send_breakers.
 */

#define _GNU_SOURCE
#include <stdlib.h>

#include "send.h"


/*
 * The Cloud API takes 80 messages a second of a number, and of a pair one in
 * 6 seconds, or up to 45 at once on credit that has to be paid back.  A burst
 * of 20 is what an agent or a bot answers with, and leaves room for others
 * who send from the same number.  W-API spaces what it sends by 1 to 3
 * seconds anyway, and its integrators their requests by 800 ms; Evolution
 * speaks as the same kind of linked device.
 */
#define SEND_PACE_CLOUDAPI   80.0       /* a second */
#define SEND_PACE_OTHER      1.25
#define SEND_PACE_AHEAD      0.1        /* seconds that a number may be ahead */
#define SEND_PAIR_INTERVAL   6.0
#define SEND_PAIR_BURST      20
#define SEND_PAIR_POWER      "5"        /* 4^5 s is the longest wait */

#define SEND_BREAKER_LIMIT   5          /* failures in a row that open it */
#define SEND_BREAKER_MIN     30.0       /* seconds, then twice as long ... */
#define SEND_BREAKER_MAX     600.0
#define SEND_BREAKER_STOP    900.0      /* what needs an operator */
#define SEND_BREAKER_TRIAL   "60"       /* seconds until the next send is let
                                           through if one ends without a
                                           word */


static double send_pace_breaker(child_t *child, send_t *s);
static double send_pace_trial(child_t *child, const send_t *s);
static double send_pace_use(child_t *child, const send_t *s,
    const char *chat, double interval, double ahead);
static double send_pace_number(child_t *child, const char *sql, int n,
    const char *const *params);
static int send_pace_refused(child_t *child, const send_t *s,
    const char *chat, double wait);
static int send_pace_failed(child_t *child, const send_t *s, bool stop);
static int send_pace_opened(child_t *child, const send_t *s, double wait);
static int send_pace_works(child_t *child, const send_t *s);
static int send_pace_event(child_t *child, const send_t *s,
    const char *type, double wait);


/* "0.1 seconds" is SEND_PACE_AHEAD */
const char  send_pace_open_sql[] =
    "EXISTS (SELECT 1 FROM media.instances i"
    "    WHERE i.id = s.instance_id AND i.enabled)"
    " AND NOT EXISTS (SELECT 1 FROM media.send_breakers b"
    "    WHERE b.instance_id = s.instance_id AND b.open_until > now())"
    " AND NOT EXISTS (SELECT 1 FROM media.send_paces p"
    "    WHERE p.instance_id = s.instance_id AND p.chat = ''"
    "      AND p.used_until > now() + interval '0.1 seconds')";


/* the number first: a turn of it that is not used costs least */

double
send_pace(child_t *child, send_t *s)
{
    bool    cloudapi;
    double  wait, rate;

    cloudapi = strcmp(s->provider, "cloudapi") == 0;
    rate = conf.send_rate > 0 ? conf.send_rate
           : cloudapi ? SEND_PACE_CLOUDAPI : SEND_PACE_OTHER;

    s->scope = SEND_SCOPE_NUMBER;
    wait = send_pace_breaker(child, s);

    if (wait == 0) {
        wait = send_pace_use(child, s, "", 1 / rate, SEND_PACE_AHEAD);
    }

    if (wait == 0 && cloudapi) {
        s->scope = SEND_SCOPE_PAIR;
        wait = send_pace_use(child, s, s->chat, SEND_PAIR_INTERVAL,
                             (SEND_PAIR_BURST - 1) * SEND_PAIR_INTERVAL);
    }

    /* last: one that then has to wait would have kept the others waiting */
    if (wait == 0 && s->trial) {
        s->scope = SEND_SCOPE_NUMBER;
        wait = send_pace_trial(child, s);
    }

    if (wait == 0) {
        s->scope = SEND_SCOPE_NONE;
    }

    return wait;
}


static double
send_pace_breaker(child_t *child, send_t *s)
{
    double       wait;
    const char  *params[1];

    params[0] = s->instance;
    wait = send_pace_number(child,
        "SELECT greatest(extract(epoch FROM open_until - now()), 0.001)"
        "  FROM media.send_breakers"
        " WHERE instance_id = $1::bigint AND open_until IS NOT NULL",
        1, params);

    s->trial = wait == 0.001;

    return s->trial ? 0 : wait;
}


/* after an open breaker's time one send goes through: who takes it moves the
   time */

static double
send_pace_trial(child_t *child, const send_t *s)
{
    double       wait;
    const char  *params[1];

    params[0] = s->instance;
    wait = send_pace_number(child,
        "UPDATE media.send_breakers SET open_until = now()"
        "       + interval '" SEND_BREAKER_TRIAL " seconds'"
        " WHERE instance_id = $1::bigint AND open_until <= now()"
        " RETURNING 1", 1, params);

    return wait < 0 ? -1 : wait == 1 ? 0 : 1;
}


/* the first column of the first row, 0 without one, -1 */

static double
send_pace_number(child_t *child, const char *sql, int n,
    const char *const *params)
{
    double     number;
    PGresult  *res;

    res = db_exec(child, sql, n, params);

    if (res == NULL) {
        return -1;
    }

    number = PQntuples(res) == 0 ? 0 : atof(PQgetvalue(res, 0, 0));
    PQclear(res);

    return number;
}


static double
send_pace_use(child_t *child, const send_t *s, const char *chat,
    double interval, double ahead)
{
    char         seconds[2][32];
    const char  *params[4];
    static const char  sql[] =
        "WITH used AS (INSERT INTO media.send_paces AS p"
        "         (instance_id, chat, used_until)"
        "     VALUES ($1::bigint, $2,"
        "         now() + make_interval(secs => $3::double precision))"
        "     ON CONFLICT (instance_id, chat) DO UPDATE SET used_until ="
        "         greatest(p.used_until, now())"
        "             + make_interval(secs => $3::double precision)"
        "     WHERE p.used_until"
        "         <= now() + make_interval(secs => $4::double precision)"
        "     RETURNING 1)"
        " SELECT greatest(extract(epoch FROM used_until - now())"
        "        - $4::double precision, 0.001) FROM media.send_paces"
        "  WHERE instance_id = $1::bigint AND chat = $2"
        "    AND NOT EXISTS (SELECT 1 FROM used)";

    snprintf(seconds[0], sizeof(seconds[0]), "%.6f", interval);
    snprintf(seconds[1], sizeof(seconds[1]), "%.6f", ahead);
    params[0] = s->instance;
    params[1] = chat;
    params[2] = seconds[0];
    params[3] = seconds[1];

    return send_pace_number(child, sql, 4, params);
}


/*
 * What the provider's answer says of the pair or the number.  An answer about
 * this message alone says that the number works.  Sends of unknown outcome
 * count, too, or all that waits would become unknown in an outage; but not
 * those that the provider took without giving them an id.
 */

int
send_pace_result(child_t *child, const send_t *s, send_result_t result)
{
    double  wait;

    if (result == SEND_STOP) {
        return send_pace_failed(child, s, true);
    }

    if (s->scope == SEND_SCOPE_NUMBER && result != SEND_AGAIN) {
        wait = s->retry_after > 0 ? s->retry_after : 1 + send_random();

        return send_pace_refused(child, s, "", wait) != 0
               ? -1 : send_pace_failed(child, s, false);
    }

    if (s->scope == SEND_SCOPE_PAIR && result == SEND_RETRY) {
        return send_pace_refused(child, s, s->chat, s->retry_after);
    }

    if (result == SEND_UNKNOWN && strcmp(s->error_code, "no_id") != 0) {
        return send_pace_failed(child, s, false);
    }

    if (result == SEND_ACCEPTED || result == SEND_FAILED) {
        return send_pace_works(child, s);
    }

    return 0;
}


/* a pair waits 4^x seconds, x from 0, and has no burst then; a number what
   the provider asks for */

static int
send_pace_refused(child_t *child, const send_t *s, const char *chat,
    double wait)
{
    char         seconds[2][32];
    const char  *params[4];
    static const char  sql[] =
        "INSERT INTO media.send_paces AS p (instance_id, chat, used_until,"
        "       refusals)"
        " VALUES ($1::bigint, $2, now() + make_interval(secs =>"
        "       $4::double precision + greatest($3::double precision, 1)), 1)"
        " ON CONFLICT (instance_id, chat) DO UPDATE SET"
        "       refusals = p.refusals + 1,"
        "       used_until = greatest(p.used_until, now() + make_interval("
        "           secs => $4::double precision"
        "           + greatest($3::double precision,"
        "                      CASE $2 WHEN '' THEN 0"
        "                      ELSE 4 ^ least(p.refusals, " SEND_PAIR_POWER ")"
        "                      END)))"
        " RETURNING 1";

    snprintf(seconds[0], sizeof(seconds[0]), "%.3f", wait);
    snprintf(seconds[1], sizeof(seconds[1]), "%.3f", chat[0] == '\0'
             ? SEND_PACE_AHEAD : (SEND_PAIR_BURST - 1) * SEND_PAIR_INTERVAL);
    params[0] = s->instance;
    params[1] = chat;
    params[2] = seconds[0];
    params[3] = seconds[1];

    return send_pace_number(child, sql, 4, params) < 0 ? -1 : 0;
}


/* what was under way when the breaker opened says nothing new */

static int
send_pace_failed(child_t *child, const send_t *s, bool stop)
{
    int          failures;
    char         wait[32];
    double       seconds;
    const char  *params[5];
    static const char  sql[] =
        "INSERT INTO media.send_breakers AS b (instance_id, failures, reason)"
        " VALUES ($1::bigint, $2::int, $3)"
        " ON CONFLICT (instance_id) DO UPDATE SET reason = $3,"
        "       failures = greatest($2::int, CASE"
        "           WHEN $4::boolean THEN b.failures + 1"
        "           WHEN b.open_until IS NULL"
        "               THEN least(b.failures + 1, $5::int)"
        "           ELSE b.failures END), updated_at = now()"
        "     WHERE b.open_until IS NULL OR $4::boolean OR $2::int = $5::int"
        " RETURNING failures";

    params[0] = s->instance;
    params[4] = log_fmt("%d", SEND_BREAKER_LIMIT);
    params[1] = stop ? params[4] : "1";
    params[2] = s->error[0] ? s->error : "no answer";
    params[3] = s->trial ? "true" : "false";

    failures = send_pace_number(child, sql, 5, params);

    if (failures < SEND_BREAKER_LIMIT) {
        return failures < 0 ? -1 : 0;
    }

    seconds = SEND_BREAKER_MIN
              * (1 << (failures - SEND_BREAKER_LIMIT < 5
                       ? failures - SEND_BREAKER_LIMIT : 5));

    seconds = stop ? SEND_BREAKER_STOP
              : seconds < SEND_BREAKER_MAX ? seconds : SEND_BREAKER_MAX;
    seconds = seconds * (0.75 + send_random() / 2);
    snprintf(wait, sizeof(wait), "%.3f", seconds);
    params[1] = wait;

    if (send_pace_number(child,
            "UPDATE media.send_breakers b SET open_until ="
            "       greatest(b.open_until, now()"
            "       + make_interval(secs => $2::double precision))"
            "  FROM (SELECT open_until IS NULL AS new"
            "        FROM media.send_breakers"
            "        WHERE instance_id = $1::bigint FOR UPDATE) o"
            " WHERE b.instance_id = $1::bigint RETURNING o.new::int", 2,
            params) != 1)
    {
        return 0;
    }

    return send_pace_opened(child, s, seconds);
}


static int
send_pace_opened(child_t *child, const send_t *s, double wait)
{
    log_msg(LOG_ERR, "number paused", "provider", s->provider,
            "instance", s->name, "error_code", s->error_code,
            "reason", s->error, "seconds", log_fmt("%.0f", wait), NULL);

    return send_pace_event(child, s, "number_paused", wait);
}


static int
send_pace_works(child_t *child, const send_t *s)
{
    double       failures;
    const char  *params[2];

    params[0] = s->instance;
    params[1] = s->chat;
    failures = send_pace_number(child,
        "WITH p AS (UPDATE media.send_paces SET refusals = 0"
        "     WHERE instance_id = $1::bigint AND chat IN ('', $2)"
        "       AND refusals > 0)"
        " DELETE FROM media.send_breakers WHERE instance_id = $1::bigint"
        " RETURNING CASE WHEN open_until IS NULL THEN 0 ELSE failures END",
        2, params);

    if (failures <= 0) {
        return failures < 0 ? -1 : 0;
    }

    log_msg(LOG_NOTICE, "number resumed", "provider", s->provider,
            "instance", s->name, NULL);

    return send_pace_event(child, s, "number_resumed", 0);
}


static int
send_pace_event(child_t *child, const send_t *s, const char *type,
    double wait)
{
    int          rc;
    PGresult    *res;
    const char  *params[4];

    params[0] = s->instance;
    params[1] = s->error_code;
    params[2] = s->error;
    params[3] = log_fmt("%.0f", wait);

    res = db_exec(child,
        "SELECT jsonb_build_object('instance_id', id, 'provider', provider,"
        "       'instance', name) || CASE WHEN $4::int = 0 THEN '{}'::jsonb"
        "       ELSE jsonb_build_object('error_code', $2::text, 'error',"
        "       $3::text, 'seconds', $4::int) END"
        "  FROM media.instances WHERE id = $1::bigint", 4, params);

    if (res == NULL) {
        return -1;
    }

    rc = 0;

    if (PQntuples(res) == 1) {
        rc = event_add(child, s->tenant, NULL, type, PQgetvalue(res, 0, 0));
        event_publish(child);
    }

    PQclear(res);

    return rc;
}


/* pairs that have long paid back what they used, and what the Cloud API has
   forgotten */

void
send_pace_sweep(child_t *child)
{
    PQclear(db_exec(child, "DELETE FROM media.provider_media"
                           " WHERE expires_at < now()", 0, NULL));
    PQclear(db_exec(child, "DELETE FROM media.send_paces"
                           " WHERE used_until < now() - interval '1 hour'",
                    0, NULL));
}


double
send_random(void)
{
    return random() / 2147483648.0;
}
