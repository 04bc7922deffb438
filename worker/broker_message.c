/*
 * Copyright (C) ngx_media contributors
 *
 * The headers of a message: read into a job_t, and written again when the
 * job is published once more.
 */

#define _GNU_SOURCE
#include <stdlib.h>

#include "broker.h"


static void broker_header(job_t *job, const amqp_table_entry_t *entry);
static void broker_copy(char *dst, size_t size, amqp_bytes_t src);
static bool broker_is(amqp_bytes_t key, const char *name);
static int64_t broker_number(const amqp_field_value_t *value);
static void broker_put(amqp_basic_properties_t *props, const char *key,
    const char *value);


void
broker_job(job_t *job, const char *queue, const amqp_envelope_t *env)
{
    int                             i;
    const amqp_table_t             *headers;
    const amqp_basic_properties_t  *props;

    memset(job, 0, sizeof(job_t));

    props = &env->message.properties;
    job->queue = queue;
    job->redelivered = env->redelivered;
    job->body_size = -1;
    media_str_set(&job->body, env->message.body.bytes,
                  env->message.body.len);

    if (props->_flags & AMQP_BASIC_MESSAGE_ID_FLAG) {
        broker_copy(job->request_id, sizeof(job->request_id),
                    props->message_id);
    }

    if (!(props->_flags & AMQP_BASIC_HEADERS_FLAG)) {
        return;
    }

    headers = &props->headers;

    for (i = 0; i < headers->num_entries; i++) {
        broker_header(job, &headers->entries[i]);
    }
}


static void
broker_header(job_t *job, const amqp_table_entry_t *entry)
{
    const amqp_field_value_t  *value;

    value = &entry->value;

    if (value->kind == AMQP_FIELD_KIND_UTF8
        || value->kind == AMQP_FIELD_KIND_BYTES)
    {
        if (broker_is(entry->key, "provider")) {
            broker_copy(job->provider, sizeof(job->provider),
                        value->value.bytes);

        } else if (broker_is(entry->key, "request_id")) {
            broker_copy(job->request_id, sizeof(job->request_id),
                        value->value.bytes);

        } else if (broker_is(entry->key, "instance")) {
            broker_copy(job->instance, sizeof(job->instance),
                        value->value.bytes);

        } else if (broker_is(entry->key, "body_key")) {
            broker_copy(job->body_key, sizeof(job->body_key),
                        value->value.bytes);
        }
    }

    if (broker_is(entry->key, "body_size")) {
        job->body_size = broker_number(value);

    } else if (broker_is(entry->key, "received_ms")) {
        job->received_ms = broker_number(value);

    } else if (broker_is(entry->key, "attempt")) {
        job->attempt = broker_number(value);
    }
}


static void
broker_copy(char *dst, size_t size, amqp_bytes_t src)
{
    snprintf(dst, size, "%.*s", (int) src.len, (char *) src.bytes);
}


static bool
broker_is(amqp_bytes_t key, const char *name)
{
    return key.len == strlen(name) && memcmp(key.bytes, name, key.len) == 0;
}


static int64_t
broker_number(const amqp_field_value_t *value)
{
    char  text[32];

    switch (value->kind) {

    case AMQP_FIELD_KIND_I8:
        return value->value.i8;
    case AMQP_FIELD_KIND_U8:
        return value->value.u8;
    case AMQP_FIELD_KIND_I16:
        return value->value.i16;
    case AMQP_FIELD_KIND_U16:
        return value->value.u16;
    case AMQP_FIELD_KIND_I32:
        return value->value.i32;
    case AMQP_FIELD_KIND_U32:
        return value->value.u32;
    case AMQP_FIELD_KIND_I64:
        return value->value.i64;
    case AMQP_FIELD_KIND_U64:
    case AMQP_FIELD_KIND_TIMESTAMP:
        return value->value.u64;

    case AMQP_FIELD_KIND_UTF8:
    case AMQP_FIELD_KIND_BYTES:
        broker_copy(text, sizeof(text), value->value.bytes);
        return strtoll(text, NULL, 10);

    default:
        return 0;
    }
}


/* what props point into belongs to the job */

void
broker_properties(amqp_basic_properties_t *props,
    amqp_table_entry_t *entries, const job_t *job)
{
    amqp_table_entry_t  *entry;

    memset(props, 0, sizeof(amqp_basic_properties_t));

    props->_flags = AMQP_BASIC_CONTENT_TYPE_FLAG
                    |AMQP_BASIC_DELIVERY_MODE_FLAG
                    |AMQP_BASIC_TIMESTAMP_FLAG
                    |AMQP_BASIC_HEADERS_FLAG;
    props->content_type = amqp_cstring_bytes("application/json");
    props->delivery_mode = AMQP_DELIVERY_PERSISTENT;
    props->timestamp = time(NULL);
    props->headers.entries = entries;

    if (job->request_id[0] != '\0') {
        props->_flags |= AMQP_BASIC_MESSAGE_ID_FLAG;
        props->message_id = amqp_cstring_bytes(job->request_id);
    }

    broker_put(props, "provider", job->provider);
    broker_put(props, "request_id", job->request_id);
    broker_put(props, "instance", job->instance);
    broker_put(props, "body_key", job->body_key);

    entry = &entries[props->headers.num_entries++];
    entry->key = amqp_cstring_bytes("attempt");
    entry->value.kind = AMQP_FIELD_KIND_I32;
    entry->value.value.i32 = job->attempt;

    if (job->received_ms > 0) {
        entry = &entries[props->headers.num_entries++];
        entry->key = amqp_cstring_bytes("received_ms");
        entry->value.kind = AMQP_FIELD_KIND_I64;
        entry->value.value.i64 = job->received_ms;
    }

    if (job->body_size > 0) {
        entry = &entries[props->headers.num_entries++];
        entry->key = amqp_cstring_bytes("body_size");
        entry->value.kind = AMQP_FIELD_KIND_I64;
        entry->value.value.i64 = job->body_size;
    }
}


static void
broker_put(amqp_basic_properties_t *props, const char *key, const char *value)
{
    amqp_table_entry_t  *entry;

    if (value[0] == '\0') {
        return;
    }

    entry = &props->headers.entries[props->headers.num_entries++];
    entry->key = amqp_cstring_bytes(key);
    entry->value.kind = AMQP_FIELD_KIND_UTF8;
    entry->value.value.bytes = amqp_cstring_bytes(value);
}
