/*
 * Copyright (C) ngx_media contributors
 *
 * WhatsApp Cloud API: entry x changes x messages, statuses and (coexistence)
 * message_echoes.  contacts belong to messages by wa_id or user_id, not by
 * their order.  from may be missing: then the business-scoped user id is the
 * sender.
 */

#include "media_codec.h"
#include "media_webhook_int.h"


#define MEDIA_CLOUDAPI_SHA256_LEN  32


static int media_cloudapi_message(media_webhook_t *wh,
    const media_node_t *value, const media_node_t *node, int echo);
static void media_cloudapi_addresses(media_webhook_t *wh,
    const media_node_t *value, const media_node_t *node, int echo);
static const media_node_t *media_cloudapi_contact(media_webhook_t *wh,
    const media_node_t *value, media_str_t from, media_str_t user_id);
static int media_cloudapi_same(media_webhook_t *wh, media_str_t a,
    media_str_t b);
static void media_cloudapi_content(media_webhook_t *wh,
    const media_node_t *node);
static media_str_t media_cloudapi_type(const media_node_t *node);
static void media_cloudapi_media(media_webhook_t *wh,
    const media_node_t *content, media_str_t type);
static media_str_t media_cloudapi_sha256(media_webhook_t *wh,
    const media_node_t *content);
static void media_cloudapi_text(media_webhook_t *wh,
    const media_node_t *content, media_str_t type);
static void media_cloudapi_location(media_webhook_t *wh,
    const media_node_t *content);
static media_str_t media_cloudapi_chosen(const media_node_t *content);
static int media_cloudapi_status(media_webhook_t *wh,
    const media_node_t *node);
static void media_cloudapi_errors(media_webhook_t *wh,
    const media_node_t *node);


/* the member that a message's type names, in order of their frequency */
static const char *const  media_cloudapi_types[] = {
    "text", "image", "audio", "voice", "video", "document", "sticker",
    "location", "contacts", "interactive", "button", "reaction", "order",
    "system", "edit", "revoke", NULL
};


int
media_cloudapi_item(media_webhook_t *wh, const media_node_t *change,
    const media_node_t *node, media_list_t list)
{
    const media_node_t  *value;

    value = media_tree_object(change, "value");

    if (!media_webhook_set_instance(wh,
             media_tree_text(media_tree_object(value, "metadata"),
                             "phone_number_id")))
    {
        return 0;
    }

    media_webhook_begin_item(wh, list == MEDIA_LIST_STATUSES
                                 ? MEDIA_ITEM_STATUS : MEDIA_ITEM_MESSAGE);

    wh->item.event = media_tree_string(change, "field");

    return list == MEDIA_LIST_STATUSES
           ? media_cloudapi_status(wh, node)
           : media_cloudapi_message(wh, value, node,
                                    list == MEDIA_LIST_ECHOES);
}


int
media_cloudapi_change(media_webhook_t *wh, const media_node_t *change)
{
    const media_node_t  *value;

    value = media_tree_object(change, "value");

    if (!media_webhook_set_instance(wh,
             media_tree_text(media_tree_object(value, "metadata"),
                             "phone_number_id")))
    {
        return 0;
    }

    media_webhook_begin_item(wh, MEDIA_ITEM_OTHER);
    wh->item.event = media_tree_string(change, "field");
    media_cloudapi_errors(wh, value);

    return media_webhook_emit(wh, change);
}


static int
media_cloudapi_message(media_webhook_t *wh, const media_node_t *value,
    const media_node_t *node, int echo)
{
    media_webhook_item_t  *item;

    item = &wh->item;
    item->message_id = media_tree_text(node, "id");
    item->timestamp = media_tree_time(node, "timestamp");
    item->from_me = echo != 0;
    item->reply_to = media_tree_text(media_tree_object(node, "context"),
                                     "id");

    media_cloudapi_addresses(wh, value, node, echo);
    media_cloudapi_content(wh, node);

    media_cloudapi_errors(wh, node);

    if (item->error_code.len == 0
        && media_str_is(item->type, "interactive")
        && media_tree_get(node, "interactive") == NULL)
    {
        /* the content was refused, and the reason is in the value */
        media_cloudapi_errors(wh, value);
    }

    return media_webhook_emit(wh, node);
}


static void
media_cloudapi_addresses(media_webhook_t *wh, const media_node_t *value,
    const media_node_t *node, int echo)
{
    media_str_t            from, user_id, alt;
    media_webhook_item_t  *item;
    const media_node_t    *contact;

    item = &wh->item;
    media_str_set(&alt, "", 0);

    from = media_tree_text(node, echo ? "to" : "from");
    user_id = media_tree_string(node, echo ? "to_user_id" : "from_user_id");

    contact = media_cloudapi_contact(wh, value, from, user_id);

    if (from.len == 0 && user_id.len == 0) {
        from = media_tree_text(contact, "wa_id");
        user_id = media_tree_string(contact, "user_id");
    }

    item->chat_raw = from.len > 0 ? from : user_id;
    item->chat = media_webhook_address(wh, item->chat_raw);

    if (user_id.len > 0
        && (user_id.len != item->chat.len
            || memcmp(user_id.data, item->chat.data, user_id.len) != 0))
    {
        alt = user_id;
    }

    if (echo) {
        item->sender_raw = media_tree_text(node, "from");

        if (item->sender_raw.len == 0) {
            item->sender_raw = media_tree_text(
                                   media_tree_object(value, "metadata"),
                                   "display_phone_number");
        }

        item->sender = media_webhook_address(wh, item->sender_raw);

    } else {
        item->sender_raw = item->chat_raw;
        item->sender = item->chat;
        item->sender_name = media_tree_string(
                                media_tree_object(contact, "profile"),
                                "name");
    }

    item->chat_alt = alt;

    if (media_tree_get(node, "group_id") != NULL) {
        item->chat_raw = media_tree_text(node, "group_id");
        item->chat = item->chat_raw;
        item->is_group = 1;
        media_str_set(&item->chat_alt, "", 0);
    }
}


/* the one that belongs to a message, or the only one if nothing tells */
static const media_node_t *
media_cloudapi_contact(media_webhook_t *wh, const media_node_t *value,
    media_str_t from, media_str_t user_id)
{
    media_str_t          wa_id, id;
    const media_node_t  *list, *contact;

    list = media_tree_array(value, "contacts");
    if (list == NULL) {
        return NULL;
    }

    for (contact = list->child; contact != NULL; contact = contact->next) {
        wa_id = media_tree_text(contact, "wa_id");
        id = media_tree_string(contact, "user_id");

        if (media_cloudapi_same(wh, wa_id, from)
            || media_cloudapi_same(wh, id, user_id)
            || media_cloudapi_same(wh, id, from))
        {
            return contact;
        }
    }

    contact = list->child;

    if (contact == NULL || contact->next != NULL) {
        return NULL;
    }

    if (from.len == 0 && user_id.len == 0) {
        return contact;
    }

    return media_tree_get(contact, "wa_id") == NULL
           && media_tree_get(contact, "user_id") == NULL ? contact : NULL;
}


static int
media_cloudapi_same(media_webhook_t *wh, media_str_t a, media_str_t b)
{
    if (a.len == 0 || b.len == 0) {
        return 0;
    }

    a = media_webhook_address(wh, a);
    b = media_webhook_address(wh, b);

    return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}


static void
media_cloudapi_content(media_webhook_t *wh, const media_node_t *node)
{
    char                   key[64];
    media_str_t            type;
    media_webhook_item_t  *item;
    const media_node_t    *content, *inner;

    item = &wh->item;

    type = media_cloudapi_type(node);
    item->type = type;

    if (type.len == 0) {
        media_str_set(&item->type, "unknown", 7);
        return;
    }

    if (type.len >= sizeof(key)) {
        return;
    }

    memcpy(key, type.data, type.len);
    key[type.len] = '\0';

    content = media_tree_get(node, key);

    if (media_str_is(type, "edit")) {
        item->target_id = media_tree_text(content, "original_message_id");

        inner = media_tree_object(content, "message");
        type = media_cloudapi_type(inner);

        if (type.len > 0 && type.len < sizeof(key)) {
            memcpy(key, type.data, type.len);
            key[type.len] = '\0';
            media_cloudapi_text(wh, media_tree_get(inner, key), type);
        }

        return;
    }

    if (media_str_is(type, "revoke")) {
        item->target_id = media_tree_text(content, "original_message_id");
        return;
    }

    if (media_str_is(type, "button")) {
        media_str_set(&item->type, "interactive", 11);
    }

    if (media_str_is(type, "unsupported")) {
        /* some gateways send what they could read of it */
        content = media_tree_get(node, "text");
        media_str_set(&type, "text", 4);
    }

    media_cloudapi_media(wh, content, type);
    media_cloudapi_text(wh, content, type);
}


/* as it says, or by the member that is there */
static media_str_t
media_cloudapi_type(const media_node_t *node)
{
    media_str_t         type;
    const char *const  *name;

    type = media_tree_string(node, "type");

    for (name = media_cloudapi_types; type.len == 0 && *name; name++) {
        if (media_tree_get(node, *name) != NULL) {
            media_str_set(&type, *name, strlen(*name));
        }
    }

    return type;
}


static void
media_cloudapi_media(media_webhook_t *wh, const media_node_t *content,
    media_str_t type)
{
    int                     set;
    media_webhook_media_t  *media;

    media = &wh->media;

    if (media_str_is(type, "voice")) {
        media->has_ptt = 1;
        media->ptt = 1;
        media_str_set(&type, "audio", 5);
        wh->item.type = type;
    }

    if (!media_str_is(type, "image") && !media_str_is(type, "video")
        && !media_str_is(type, "audio") && !media_str_is(type, "document")
        && !media_str_is(type, "sticker"))
    {
        return;
    }

    wh->item.media = media;

    media->type = type;
    media->key_type = type;
    media->mimetype = media_tree_either(content, "mime_type", "mimetype");
    media->file_name = media_tree_string(content, "filename");
    media->caption = media_tree_string(content, "caption");
    media->sha256 = media_cloudapi_sha256(wh, content);
    media->url = media_tree_either(content, "url", "link");
    media->id = media_tree_text(content, "id");
    media->file_length = media_tree_integer(content, "file_size");

    set = media_tree_boolean(content, "voice");
    if (set >= 0) {
        media->has_ptt = 1;
        media->ptt = set > 0;
    }

    set = media_tree_boolean(content, "animated");
    media->has_animated = set >= 0;
    media->is_animated = set > 0;

    if (media->ptt) {
        media_str_set(&media->key_type, "ptt", 3);
    }
}


/* base64 in webhooks, hexadecimal elsewhere in this API */
static media_str_t
media_cloudapi_sha256(media_webhook_t *wh, const media_node_t *content)
{
    char         *p;
    media_str_t   text;

    text = media_tree_string(content, "sha256");

    if (text.len == 2 * MEDIA_CLOUDAPI_SHA256_LEN) {
        p = media_arena_alloc(&wh->scratch, MEDIA_CLOUDAPI_SHA256_LEN);
        if (p == NULL) {
            wh->failed_memory = 1;
            return text;
        }

        if (media_hex_decode(p, text.data, text.len) == MEDIA_OK) {
            media_str_set(&text, p, MEDIA_CLOUDAPI_SHA256_LEN);
            return text;
        }
    }

    return media_tree_bytes(&wh->scratch, content, "sha256",
                            &wh->failed_memory);
}


static void
media_cloudapi_text(media_webhook_t *wh, const media_node_t *content,
    media_str_t type)
{
    media_webhook_item_t  *item;

    item = &wh->item;

    if (media_str_is(type, "text") || media_str_is(type, "system")) {
        item->text = media_tree_string(content, "body");

    } else if (media_str_is(type, "button")) {
        item->text = media_tree_either(content, "text", "payload");

    } else if (media_str_is(type, "interactive")) {
        item->text = media_cloudapi_chosen(content);

    } else if (media_str_is(type, "reaction")) {
        item->text = media_tree_string(content, "emoji");
        item->target_id = media_tree_text(content, "message_id");

    } else if (media_str_is(type, "order")) {
        item->text = media_tree_string(content, "text");

    } else if (media_str_is(type, "location")) {
        media_cloudapi_location(wh, content);

    } else if (media_str_is(type, "contacts")) {

        if (content != NULL && content->type == MEDIA_NODE_ARRAY) {
            item->text = media_tree_string(
                             media_tree_object(content->child, "name"),
                             "formatted_name");
        }

    } else {
        item->text = media_tree_string(content, "caption");
    }
}


static void
media_cloudapi_location(media_webhook_t *wh, const media_node_t *content)
{
    media_webhook_item_t  *item;

    item = &wh->item;

    item->text = media_tree_string(content, "name");
    item->address = media_tree_string(content, "address");

    item->has_location = media_tree_double(content, "latitude",
                                           &item->latitude) == MEDIA_OK
                         && media_tree_double(content, "longitude",
                                              &item->longitude) == MEDIA_OK;
}


static media_str_t
media_cloudapi_chosen(const media_node_t *content)
{
    media_str_t          text;
    const media_node_t  *reply;

    reply = media_tree_object(content, "button_reply");
    reply = reply ? reply : media_tree_object(content, "list_reply");

    text = media_tree_either(reply, "title", "id");

    return text.len > 0 ? text
           : media_tree_string(media_tree_object(content, "nfm_reply"),
                               "body");
}


/* about a message of the business */
static int
media_cloudapi_status(media_webhook_t *wh, const media_node_t *node)
{
    media_str_t            user_id, participant;
    media_webhook_item_t  *item;

    item = &wh->item;
    item->message_id = media_tree_text(node, "id");
    item->timestamp = media_tree_time(node, "timestamp");
    item->from_me = 1;
    item->status = media_webhook_status(media_tree_string(node, "status"));
    item->callback_data = media_tree_string(node, "biz_opaque_callback_data");
    item->pricing = media_tree_string(media_tree_object(node, "pricing"),
                                      "category");

    user_id = media_tree_string(node, "recipient_user_id");

    item->chat_raw = media_tree_text(node, "recipient_id");

    if (item->chat_raw.len == 0) {
        item->chat_raw = user_id;
    }

    if (media_str_is(media_tree_string(node, "recipient_type"), "group")) {
        item->is_group = 1;
        item->chat = item->chat_raw;

        participant = media_tree_either(node, "recipient_participant_id",
                                        "recipient_participant_user_id");
        item->sender_raw = participant;
        item->sender = media_webhook_address(wh, participant);

    } else {
        item->chat = media_webhook_address(wh, item->chat_raw);

        if (user_id.len > 0 && user_id.data != item->chat_raw.data) {
            item->chat_alt = user_id;
        }
    }

    media_cloudapi_errors(wh, node);

    return media_webhook_emit(wh, node);
}


static void
media_cloudapi_errors(media_webhook_t *wh, const media_node_t *node)
{
    media_str_t            text;
    const media_node_t    *list, *error;
    media_webhook_item_t  *item;

    list = media_tree_array(node, "errors");
    error = list ? list->child : NULL;

    if (error == NULL) {
        return;
    }

    item = &wh->item;
    item->error_code = media_tree_text(error, "code");

    text = media_tree_string(media_tree_object(error, "error_data"),
                             "details");

    if (text.len == 0) {
        text = media_tree_either(error, "details", "message");
    }

    item->error_text = text.len > 0 ? text
                                    : media_tree_string(error, "title");
}
