/*
 * Copyright (C) ngx_media contributors
 *
 * W-API: one flat object per body.  webhookReceived and webhookDelivery (an
 * outgoing message, not a receipt) carry msgContent; moment is in seconds
 * there and in milliseconds in webhookStatus.  Any member may be absent, also
 * event.
 */

#include "media_webhook_int.h"


static int media_wapi_message(media_webhook_t *wh, const media_node_t *node,
    const media_node_t *content);
static void media_wapi_stub(media_webhook_t *wh, const media_node_t *content);
static int media_wapi_status(media_webhook_t *wh, const media_node_t *node);
static int media_wapi_connection(media_webhook_t *wh,
    const media_node_t *node, int connected);
static void media_wapi_chat(media_webhook_t *wh, const media_node_t *node);
static media_str_t media_wapi_phone(const media_node_t *person);
static media_str_t media_wapi_lid(const media_node_t *person);


int
media_wapi_envelope(media_webhook_t *wh, const media_node_t *node)
{
    media_str_t          event;
    const media_node_t  *content;

    if (!media_webhook_set_instance(wh, media_tree_text(node, "instanceId")))
    {
        return 0;
    }

    event = media_tree_string(node, "event");
    content = media_tree_object(node, "msgContent");

    if (content != NULL) {
        return media_wapi_message(wh, node, content);
    }

    if (media_str_is(event, "webhookReceived")
        || media_str_is(event, "webhookDelivery"))
    {
        return media_wapi_message(wh, node, NULL);
    }

    if (media_str_is(event, "webhookConnected")) {
        return media_wapi_connection(wh, node,
                   media_tree_boolean(node, "connected") != 0);
    }

    if (media_str_is(event, "webhookDisconnected")) {
        return media_wapi_connection(wh, node, 0);
    }

    if (media_tree_get(node, "messageId") && media_tree_get(node, "status")
        && (event.len == 0 || media_str_is(event, "webhookStatus")
            || media_str_is(event, "webhookMessageStatus")))
    {
        return media_wapi_status(wh, node);
    }

    return media_webhook_other(wh, node, event);
}


static int
media_wapi_message(media_webhook_t *wh, const media_node_t *node,
    const media_node_t *content)
{
    media_str_t            named = media_str("");
    const media_node_t    *chat;
    media_webhook_item_t  *item;

    media_webhook_begin_item(wh, MEDIA_ITEM_MESSAGE);

    item = &wh->item;
    item->event = media_tree_string(node, "event");
    item->message_id = media_tree_text(node, "messageId");
    item->timestamp = media_tree_time(node, "moment");

    /* the documentation's samples say fromMe false of sent messages */

    item->from_me = media_tree_boolean(node, "fromMe") > 0
                    || media_str_is(item->event, "webhookDelivery");
    item->from_api = media_tree_boolean(node, "fromApi") > 0;

    media_wapi_chat(wh, node);

    chat = media_tree_object(node, "chat");
    item->profile_pic_url = media_tree_string(chat, "profilePicture");

    item->sender_name = media_tree_either(media_tree_object(node, "sender"),
                                          "pushName", "verifiedBizName");

    media_webhook_message(wh, content, named);

    if (media_tree_get(content, "messageStubType") != NULL) {
        media_wapi_stub(wh, content);
    }

    if (item->reply_to.len == 0) {
        item->reply_to = media_tree_string(
                             media_tree_object(content, "contextInfo"),
                             "stanzaId");
    }

    return media_webhook_emit(wh, node);
}


/* what happened to a group, or a message that could not be decrypted */
static void
media_wapi_stub(media_webhook_t *wh, const media_node_t *content)
{
    size_t                 n;
    media_str_t            type;
    media_webhook_item_t  *item;
    const media_node_t    *list, *parameter;

    item = &wh->item;

    type = media_tree_text(content, "messageStubType");
    list = media_tree_array(content, "messageStubParameters");
    parameter = list ? list->child : NULL;

    if (media_str_is(type, "CIPHERTEXT") || media_str_is(type, "2")) {
        media_str_set(&item->type, "unsupported", 11);
        item->error_code = type;

        if (parameter != NULL && parameter->type == MEDIA_NODE_STRING) {
            item->error_text = parameter->text;
        }

        return;
    }

    media_str_set(&item->type, "system", 6);
    item->text = type;

    /* a hidden user's digits come without their domain here */

    n = item->sender_raw.len;

    for ( /* void */ ; parameter != NULL; parameter = parameter->next) {

        if (media_str_ends(parameter->text, "@lid")
            && parameter->text.len == n + sizeof("@lid") - 1
            && memcmp(parameter->text.data, item->sender_raw.data, n) == 0)
        {
            item->sender = media_webhook_address(wh, parameter->text);
        }
    }
}


static int
media_wapi_status(media_webhook_t *wh, const media_node_t *node)
{
    media_webhook_item_t  *item;

    media_webhook_begin_item(wh, MEDIA_ITEM_STATUS);

    item = &wh->item;
    item->event = media_tree_string(node, "event");
    item->message_id = media_tree_text(node, "messageId");
    item->timestamp = media_tree_time(node, "moment");
    item->from_me = media_tree_boolean(node, "fromMe") > 0;
    item->status = media_webhook_status(media_tree_text(node, "status"));

    media_wapi_chat(wh, node);

    return media_webhook_emit(wh, node);
}


static int
media_wapi_connection(media_webhook_t *wh, const media_node_t *node,
    int connected)
{
    media_webhook_item_t  *item;

    media_webhook_begin_item(wh, MEDIA_ITEM_CONNECTION);

    item = &wh->item;
    item->event = media_tree_string(node, "event");
    item->timestamp = media_tree_time(node, "moment");
    item->sender_raw = media_tree_text(node, "connectedPhone");
    item->sender = media_webhook_address(wh, item->sender_raw);

    /* Evolution's words */

    if (connected) {
        media_str_set(&item->type, "open", 4);

    } else {
        media_str_set(&item->type, "close", 5);
    }

    return media_webhook_emit(wh, node);
}


static void
media_wapi_chat(media_webhook_t *wh, const media_node_t *node)
{
    media_str_t            other, alt, raw;
    const media_node_t    *chat, *sender;
    media_webhook_item_t  *item;

    item = &wh->item;
    media_str_set(&alt, "", 0);
    media_str_set(&other, "", 0);

    chat = media_tree_object(node, "chat");
    sender = media_tree_object(node, "sender");

    /* the sender, by phone if it is known */

    raw = media_tree_text(sender, "id");

    if (item->from_me && raw.len == 0) {
        raw = media_tree_either(node, "connectedPhone", "connectedLid");
    }

    item->sender_raw = raw;

    other = media_str_ends(raw, "@lid") ? media_wapi_phone(sender)
                                        : media_wapi_lid(sender);
    item->sender = media_webhook_prefer_phone(wh, raw, other, &alt);

    /* the chat; trimmed bodies lack it, and are private then */

    raw = media_tree_text(chat, "id");
    item->chat_raw = raw;

    item->is_group = media_str_ends(raw, "@g.us")
                     || media_tree_boolean(node, "isGroup") > 0;

    if (raw.len == 0 && !item->from_me && !item->is_group) {
        item->chat_raw = item->sender_raw;
        item->chat = item->sender;
        item->chat_alt = alt;
        return;
    }

    if (item->is_group || memchr(raw.data, '@', raw.len) == NULL
        || media_str_ends(raw, "@lid") || media_str_ends(raw, "@c.us")
        || media_str_ends(raw, "@s.whatsapp.net"))
    {
        other = media_str_ends(raw, "@lid") ? media_wapi_phone(chat)
                                            : media_wapi_lid(chat);

        if (other.len == 0 && !item->from_me && !item->is_group) {
            other = media_str_ends(raw, "@lid") ? item->sender : alt;
        }

        item->chat = media_webhook_prefer_phone(wh, raw, other,
                                                &item->chat_alt);

    } else {
        item->chat = media_webhook_address(wh, raw);
    }

    /* statuses have no sender; the other side of a private chat it is */

    if (item->sender.len == 0 && !item->from_me && !item->is_group
        && item->kind == MEDIA_ITEM_MESSAGE)
    {
        item->sender_raw = item->chat_raw;
        item->sender = item->chat;
    }
}


static media_str_t
media_wapi_phone(const media_node_t *person)
{
    return media_tree_either(person, "senderPn", "phone");
}


static media_str_t
media_wapi_lid(const media_node_t *person)
{
    return media_tree_either(person, "senderLid", "lid");
}
