/*
 * Copyright (C) ngx_media contributors
 *
 * What conf.c (the table, where values come from) and conf_type.c (how they
 * are read and printed) share.
 */

#ifndef MEDIA_CONF_H
#define MEDIA_CONF_H

#include "media_worker.h"


#define CONF_VALUE_MAX  8192            /* bytes of a value */


typedef struct conf_entry_s  conf_entry_t;

typedef struct {
    /* returns NULL, or what is wrong with the value */
    const char *(*parse)(const conf_entry_t *e, conf_t *c, const char *value);
    void        (*print)(const conf_entry_t *e, FILE *f);
    bool          string;               /* the field is a char * */
} conf_type_t;

struct conf_entry_s {
    const char         *name;
    const conf_type_t  *type;
    size_t              offset;
    const char         *value;          /* the default */
    unsigned            flags;
};


extern const conf_type_t  conf_string;
extern const conf_type_t  conf_url;     /* scheme, host and port */
extern const conf_type_t  conf_amqp;
extern const conf_type_t  conf_redis;
extern const conf_type_t  conf_socket;  /* unix:/path or host:port */
extern const conf_type_t  conf_address; /* host:port */
extern const conf_type_t  conf_base;    /* URL that things are appended to */
extern const conf_type_t  conf_count;   /* int, may be 0 */
extern const conf_type_t  conf_positive;
extern const conf_type_t  conf_bool;
extern const conf_type_t  conf_time;    /* int, seconds */
extern const conf_type_t  conf_size;    /* int64_t, bytes */
extern const conf_type_t  conf_level;
extern const conf_type_t  conf_format;
extern const conf_type_t  conf_retry_accept;        /* one of the words */
extern const conf_type_t  conf_reject_quarantine;
extern const conf_type_t  conf_reject_accept;
extern const conf_type_t  conf_delays;
extern const conf_type_t  conf_mime;


/* the string an entry is kept in */
char **conf_field(conf_t *c, const conf_entry_t *e);

/* a time, with a unit or in seconds; NULL, or what is wrong with it */
const char *conf_seconds(int *seconds, const char *value);

#endif
