/*
 * Copyright (C) ngx_media contributors
 *
 * Evolution API, v1 and v2: {event, instance, data, ..., sender, ...}.  data
 * is an object, a list or null.  sender is the instance's owner, never the
 * message's sender, and date_time is local time marked as UTC: not used.
 */

#include <ctype.h>

#include "media_webhook_int.h"


#define MEDIA_EVOLUTION_EVENT_MAX  64


static int media_evolution_message(media_webhook_t *wh,
    const media_node_t *envelope, const media_node_t *node);
static void media_evolution_content(media_webhook_t *wh,
    const media_node_t *node);
static void media_evolution_chat(media_webhook_t *wh,
    const media_node_t *envelope, const media_node_t *key);
static media_str_t media_evolution_alternate(const media_node_t *key,
    int from_me);
static void media_evolution_sender(media_webhook_t *wh,
    const media_node_t *envelope, const media_node_t *key);
static int media_evolution_status(media_webhook_t *wh,
    const media_node_t *envelope, const media_node_t *node, int deleted);
static int media_evolution_edited(media_webhook_t *wh,
    const media_node_t *envelope, const media_node_t *node);
static int media_evolution_contact(media_webhook_t *wh,
    const media_node_t *envelope, const media_node_t *node);
static int media_evolution_connection(media_webhook_t *wh,
    const media_node_t *envelope, const media_node_t *node);
static int media_evolution_event_is(const media_node_t *envelope,
    const char *name);


int
media_evolution_envelope(media_webhook_t *wh, const media_node_t *node)
{
    const media_node_t  *data, *list, *item;

    if (!media_webhook_set_instance(wh, media_tree_text(node, "instance"))) {
        return 0;
    }

    data = media_tree_get(node, "data");

    if (data == NULL) {

        if (media_tree_get(node, "event") == NULL) {

            /* a record on its own, or nothing but a message */

            if (media_tree_object(node, "key")
                || media_webhook_is_message(node)
                || media_webhook_is_message(media_tree_object(node,
                                                              "message")))
            {
                return media_evolution_message(wh, NULL, node);
            }
        }

        return media_webhook_other(wh, node,
                                   media_tree_string(node, "event"));
    }

    if (data->type == MEDIA_NODE_ARRAY) {
        /* its elements were items of their own */
        return 1;
    }

    list = media_tree_array(data, "messages");

    if (list == NULL || media_tree_get(data, "key") != NULL) {
        return media_evolution_item(wh, node, data);
    }

    for (item = list->child; item != NULL; item = item->next) {
        if (!media_evolution_item(wh, node, item)) {
            return 0;
        }
    }

    return 1;
}


int
media_evolution_item(media_webhook_t *wh, const media_node_t *envelope,
    const media_node_t *node)
{
    if (!media_webhook_set_instance(wh,
                                    media_tree_text(envelope, "instance")))
    {
        return 0;
    }

    if (media_evolution_event_is(envelope, "messages.upsert")
        || media_evolution_event_is(envelope, "send.message")
        || media_evolution_event_is(envelope, "messages.set"))
    {
        if (media_tree_get(node, "key") || media_tree_get(node, "message")) {
            return media_evolution_message(wh, envelope, node);
        }
    }

    if (media_evolution_event_is(envelope, "messages.update")) {
        return media_evolution_status(wh, envelope, node, 0);
    }

    if (media_evolution_event_is(envelope, "messages.delete")) {
        return media_evolution_status(wh, envelope, node, 1);
    }

    if (media_evolution_event_is(envelope, "messages.edited")
        || media_evolution_event_is(envelope, "send.message.update"))
    {
        return media_evolution_edited(wh, envelope, node);
    }

    if (media_evolution_event_is(envelope, "contacts.update")
        || media_evolution_event_is(envelope, "contacts.upsert")
        || media_evolution_event_is(envelope, "contacts.set"))
    {
        return media_evolution_contact(wh, envelope, node);
    }

    if (media_evolution_event_is(envelope, "connection.update")) {
        return media_evolution_connection(wh, envelope, node);
    }

    if (media_tree_get(envelope, "event") == NULL
        && media_tree_object(node, "key") && media_tree_get(node, "message"))
    {
        return media_evolution_message(wh, envelope, node);
    }

    return media_webhook_other(wh, node->child ? node : envelope,
                               media_tree_string(envelope, "event"));
}


static int
media_evolution_message(media_webhook_t *wh, const media_node_t *envelope,
    const media_node_t *node)
{
    media_webhook_item_t  *item;
    const media_node_t    *key;

    media_webhook_begin_item(wh, MEDIA_ITEM_MESSAGE);

    item = &wh->item;
    item->event = media_tree_string(envelope, "event");

    key = media_tree_object(node, "key");

    item->message_id = media_tree_text(key, "id");
    item->from_me = media_tree_boolean(key, "fromMe") > 0;
    item->from_api = media_evolution_event_is(envelope, "send.message");
    item->timestamp = media_tree_time(node, "messageTimestamp");
    item->status = media_webhook_status(media_tree_text(node, "status"));
    item->sender_name = media_tree_string(node, "pushName");

    media_evolution_chat(wh, envelope, key);
    media_evolution_content(wh, node);

    return media_webhook_emit(wh, node);
}


static void
media_evolution_content(media_webhook_t *wh, const media_node_t *node)
{
    media_str_t          named;
    const media_node_t  *message, *context;

    message = media_tree_object(node, "message");
    named = media_tree_string(node, "messageType");

    if (message == NULL && media_webhook_is_message(node)) {
        message = node;
    }

    media_webhook_message(wh, message, named);

    /* v2 turns extendedTextMessage into conversation, and leaves its
       contextInfo here */

    context = media_tree_object(node, "contextInfo");

    if (wh->item.reply_to.len == 0 && context != NULL) {
        wh->item.reply_to = media_tree_string(context, "stanzaId");
    }
}


static void
media_evolution_chat(media_webhook_t *wh, const media_node_t *envelope,
    const media_node_t *key)
{
    media_webhook_item_t  *item;

    item = &wh->item;

    item->chat_raw = media_tree_text(key, "remoteJid");
    item->chat = media_webhook_address(wh, item->chat_raw);

    item->is_group = media_str_ends(item->chat, "@g.us");

    if (item->chat.len > 0
        && (media_str_ends(item->chat, "@lid")
            || memchr(item->chat.data, '@', item->chat.len) == NULL))
    {
        item->chat = media_webhook_prefer_phone(wh, item->chat_raw,
                         media_evolution_alternate(key, item->from_me),
                         &item->chat_alt);
    }

    media_evolution_sender(wh, envelope, key);
}


/* the chat's other address; each release has its own names */
static media_str_t
media_evolution_alternate(const media_node_t *key, int from_me)
{
    media_str_t  alt;

    alt = media_tree_either(key, "remoteJidAlt", "previousRemoteJid");

    if (alt.len == 0 && !from_me) {
        /* the two of them name the message's sender */

        alt = media_tree_string(key, "senderPn");

        if (alt.len == 0
            || !media_str_ends(media_tree_text(key, "remoteJid"), "@lid"))
        {
            alt = media_tree_string(key, "senderLid");
        }
    }

    return alt;
}


static void
media_evolution_sender(media_webhook_t *wh, const media_node_t *envelope,
    const media_node_t *key)
{
    media_str_t            alt, owner;
    media_webhook_item_t  *item;

    item = &wh->item;
    media_str_set(&alt, "", 0);

    if (item->from_me) {
        owner = media_tree_string(envelope, "sender");

        if (owner.len > 0) {
            item->sender_raw = owner;
            item->sender = media_webhook_address(wh, owner);
            return;
        }
    }

    item->sender_raw = media_tree_text(key, "participant");

    if (item->sender_raw.len > 0
        && (item->chat.len == 0
            || memchr(item->chat.data, '@', item->chat.len) != NULL)
        && !media_str_ends(item->chat, "@lid"))
    {
        alt = media_tree_either(key, "participantAlt", "participantPn");

        if (alt.len == 0) {
            alt = media_tree_either(key, "senderPn", "participantLid");
        }

        item->sender = media_webhook_prefer_phone(wh, item->sender_raw, alt,
                                                  &alt);
        return;
    }

    /* nobody but the other side writes in a private chat */

    media_str_set(&item->sender_raw, "", 0);

    if (!item->from_me && !item->is_group
        && !media_str_ends(item->chat, "@broadcast")
        && !media_str_ends(item->chat, "@newsletter"))
    {
        item->sender_raw = item->chat_raw;
        item->sender = item->chat;
    }
}


static int
media_evolution_status(media_webhook_t *wh, const media_node_t *envelope,
    const media_node_t *node, int deleted)
{
    media_str_t            status;
    const media_node_t    *key;
    media_webhook_item_t  *item;

    media_webhook_begin_item(wh, MEDIA_ITEM_STATUS);

    item = &wh->item;
    item->event = media_tree_string(envelope, "event");

    /* v1 spreads the key flat; v2 calls its id keyId, and messageId is that
       of its database */

    key = media_tree_object(node, "key");
    key = key ? key : node;

    item->message_id = media_tree_text(node, "keyId");

    if (item->message_id.len == 0) {
        item->message_id = media_tree_either(key, "id", "messageId");
    }

    item->from_me = media_tree_boolean(key, "fromMe") > 0;
    media_evolution_chat(wh, envelope, key);

    item->timestamp = media_tree_time(node, "datetime");

    if (item->timestamp < 0) {
        item->timestamp = media_tree_time(node, "messageTimestamp");
    }

    status = media_tree_text(node, "status");

    if (status.len == 0) {
        status = media_tree_text(media_tree_object(node, "update"), "status");
    }

    item->status = deleted ? MEDIA_STATUS_DELETED
                           : media_webhook_status(status);

    return media_webhook_emit(wh, node);
}


/* a protocolMessage, or a record around one */
static int
media_evolution_edited(media_webhook_t *wh, const media_node_t *envelope,
    const media_node_t *node)
{
    const media_node_t    *key, *protocol;
    media_webhook_item_t  *item;

    media_webhook_begin_item(wh, MEDIA_ITEM_MESSAGE);

    item = &wh->item;
    item->event = media_tree_string(envelope, "event");

    protocol = media_tree_object(media_tree_object(node, "message"),
                                 "protocolMessage");
    protocol = protocol ? protocol : node;

    key = media_tree_object(protocol, "key");

    item->message_id = media_tree_text(key, "id");
    item->from_me = media_tree_boolean(key, "fromMe") > 0;
    item->timestamp = media_tree_time(protocol, "timestampMs");

    media_evolution_chat(wh, envelope, key);
    media_webhook_protocol(wh, protocol);

    if (media_str_is(item->type, "revoke")) {
        item->kind = MEDIA_ITEM_STATUS;
        item->status = MEDIA_STATUS_DELETED;

    } else if (!media_str_is(item->type, "edit")) {
        item->kind = MEDIA_ITEM_OTHER;
    }

    return media_webhook_emit(wh, node);
}


static int
media_evolution_contact(media_webhook_t *wh, const media_node_t *envelope,
    const media_node_t *node)
{
    media_webhook_item_t  *item;

    media_webhook_begin_item(wh, MEDIA_ITEM_CONTACT);

    item = &wh->item;
    item->event = media_tree_string(envelope, "event");
    item->chat_raw = media_tree_either(node, "remoteJid", "id");
    item->chat = media_webhook_prefer_phone(wh, item->chat_raw,
                     media_tree_string(node, "remoteJidAlt"),
                     &item->chat_alt);

    item->is_group = media_str_ends(item->chat, "@g.us");

    if (!item->is_group) {
        item->sender_raw = item->chat_raw;
        item->sender = item->chat;
    }

    item->sender_name = media_tree_either(node, "pushName", "name");
    item->profile_pic_url = media_tree_either(node, "profilePicUrl",
                                              "profilePictureUrl");

    return media_webhook_emit(wh, node);
}


static int
media_evolution_connection(media_webhook_t *wh, const media_node_t *envelope,
    const media_node_t *node)
{
    media_webhook_item_t  *item;

    media_webhook_begin_item(wh, MEDIA_ITEM_CONNECTION);

    item = &wh->item;
    item->event = media_tree_string(envelope, "event");
    item->type = media_tree_string(node, "state");
    item->sender_raw = media_tree_string(node, "wuid");

    if (item->sender_raw.len == 0) {
        item->sender_raw = media_tree_string(envelope, "sender");
    }

    item->sender = media_webhook_address(wh, item->sender_raw);
    item->sender_name = media_tree_string(node, "profileName");
    item->profile_pic_url = media_tree_string(node, "profilePictureUrl");

    if (!media_str_is(item->type, "open")) {
        item->error_code = media_tree_text(node, "statusReason");
    }

    return media_webhook_emit(wh, node);
}


/* "messages.upsert", and as it is written in settings and paths */
static int
media_evolution_event_is(const media_node_t *envelope, const char *name)
{
    int          ch;
    size_t       i;
    media_str_t  event;

    event = media_tree_string(envelope, "event");

    if (event.len != strlen(name) || event.len > MEDIA_EVOLUTION_EVENT_MAX) {
        return 0;
    }

    for (i = 0; i < event.len; i++) {
        ch = tolower((unsigned char) event.data[i]);
        ch = (ch == '_' || ch == '-') ? '.' : ch;

        if (ch != name[i]) {
            return 0;
        }
    }

    return 1;
}
